-- Game Master's table as gmhealth knows it, and some games to try things on: for development and tests only.
-- In production the table is Game Master's.

CREATE TABLE runtime_records (
    game_id                text PRIMARY KEY,
    status                 text NOT NULL CHECK (status IN (
                               'starting', 'running', 'generation_in_progress', 'generation_failed',
                               'stopped', 'engine_unreachable', 'finished')),
    engine_endpoint        text NOT NULL,
    current_image_ref      text NOT NULL,
    current_engine_version text NOT NULL,
    turn_schedule          text NOT NULL,
    current_turn           integer NOT NULL DEFAULT 0 CHECK (current_turn >= 0),
    next_generation_at     timestamptz,
    skip_next_tick         boolean NOT NULL DEFAULT false,
    engine_health          text NOT NULL DEFAULT '',
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    started_at             timestamptz,
    stopped_at             timestamptz,
    finished_at            timestamptz
);

CREATE INDEX runtime_records_status_next_generation ON runtime_records (status, next_generation_at);

INSERT INTO runtime_records (
    game_id, status, current_turn, engine_health,
    engine_endpoint, current_image_ref, current_engine_version, turn_schedule,
    next_generation_at, created_at, updated_at, started_at, stopped_at, finished_at)
SELECT
    game_id, status, current_turn, engine_health,
    'http://' || game_id || ':8080', 'galaxy/engine:1.4.2', '1.4.2', '0 18 * * *',
    CASE WHEN status IN ('running', 'engine_unreachable') THEN now() + interval '6 hours' END,
    now() - interval '30 days', now() - interval '1 hour',
    CASE WHEN status <> 'starting' THEN now() - interval '29 days' END,
    CASE WHEN status = 'stopped' THEN now() - interval '1 hour' END,
    CASE WHEN status = 'finished' THEN now() - interval '1 hour' END
FROM (VALUES
    ('game-andromeda',  'running',                12, 'healthy'),
    ('game-borealis',   'running',                 3, 'probe_failed'),
    ('game-cassiopeia', 'generation_in_progress', 27, 'healthy'),
    ('game-draco',      'engine_unreachable',      8, 'oom'),
    ('game-eridanus',   'starting',                0, ''),
    ('game-fornax',     'generation_failed',      15, 'inspect_unhealthy'),
    ('game-gemini',     'stopped',                 5, 'exited'),
    ('game-hydra',      'finished',               40, 'disappeared')
) AS games (game_id, status, current_turn, engine_health);
