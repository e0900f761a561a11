-- What gmhealth may do in Game Master's database: read five columns of one table, and write three of them.
--
--   psql --set ON_ERROR_STOP=1 --file role.sql DATABASE        as the table's owner or a superuser; may be run again
--
-- These roles cannot log in. Make a login for each user and put it into one of them; \password keeps the password out
-- of the history and the server's log:
--
--   CREATE ROLE gmhealth LOGIN IN ROLE gmhealth_write;         consume, replay: the daemon and those on call
--   CREATE ROLE ada LOGIN IN ROLE gmhealth_read;               status, inspect, doctor and every --dry-run
--   \password gmhealth
--
-- The table may have another name or schema (GMHEALTH_POSTGRES_TABLE): change it in all places below. The leader lock
-- is an advisory lock, which needs no grant. gmhealth never creates, alters, inserts or deletes anything.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['gmhealth_read', 'gmhealth_write'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO gmhealth_read;

GRANT SELECT (game_id, status, current_turn, engine_health, updated_at)
    ON public.runtime_records TO gmhealth_read;

GRANT gmhealth_read TO gmhealth_write;

-- xmax: to name who has a row locked.
GRANT SELECT (xmax), UPDATE (status, engine_health, updated_at)
    ON public.runtime_records TO gmhealth_write;
