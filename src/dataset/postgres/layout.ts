/** Tables of the PostgreSQL store, in a schema of their own. */

export const LAYOUT = 2;
export const SCHEMA_NAME = 'spark_proxy';

/**
 * Commits what a driver has buffered, in one round trip. Locks: the session (shared), the datasets in order of their ids, the counter. Every
 * statement of a plpgsql function has its own snapshot under READ COMMITTED, so what was committed before the locks were got is seen.
 * The token is for who did not hear the answer: see outcome.ts. Gives 'ok', 'conflict:<dataset>' or 'fenced:<reason>'; in the last two cases nothing has been written.
 */
const COMMIT_FUNCTION = `
CREATE FUNCTION ${SCHEMA_NAME}.commit_writes(
  p_epoch bigint, p_read bigint, p_excluded bigint[], p_floor bigint,
  d_ids int[], d_levels text[], d_lows bytea[], d_highs bytea[], d_keys bytea[], d_counts int[],
  c_datasets int[], c_rows bytea[], c_cols text[], c_values bytea[], p_token text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  reason text;
  since bigint[];
  lowest bigint;
  v bigint;
  found_one boolean;
  rs bytea[]; cs text[]; vs bytea[];
BEGIN
  SELECT fenced INTO reason FROM sessions WHERE epoch = p_epoch FOR SHARE;
  IF NOT FOUND THEN RETURN 'fenced:its session is gone'; END IF;
  IF reason IS NOT NULL THEN RETURN 'fenced:' || reason; END IF;
  PERFORM 1 FROM datasets WHERE id = ANY (d_ids) ORDER BY id FOR NO KEY UPDATE;
  since := ARRAY(SELECT version FROM versions WHERE state = 'committed' AND (version > p_read OR version = ANY (p_excluded)));
  IF cardinality(since) > 0 THEN
    FOR i IN 1 .. cardinality(d_ids) LOOP
      CONTINUE WHEN d_levels[i] = 'NONE';
      EXECUTE format(
        'SELECT EXISTS (SELECT 1 FROM unnest($1, $2, $3) AS k(d, r, c) JOIN %I t ON t.row = k.r %s WHERE k.d = $4 AND t.version = ANY ($5))',
        'd_' || d_ids[i], CASE d_levels[i] WHEN 'COLUMN' THEN 'AND t.col = k.c' ELSE '' END
      ) INTO found_one USING c_datasets, c_rows, c_cols, d_ids[i], since;
      IF found_one THEN RETURN 'conflict:' || d_ids[i]; END IF;
    END LOOP;
  END IF;
  UPDATE meta SET value = value + 1 WHERE name = 'version' RETURNING value INTO v;
  INSERT INTO versions (version, epoch, state, token) VALUES (v, p_epoch, 'committed', p_token);
  SELECT least(p_floor, (SELECT min(floor) FROM sessions WHERE fenced IS NULL AND epoch <> p_epoch), (SELECT min(version) FROM versions WHERE state <> 'committed')) INTO lowest;
  FOR i IN 1 .. cardinality(d_ids) LOOP
    INSERT INTO writes (version, dataset, count, low, high, keys) VALUES (v, d_ids[i], d_counts[i], d_lows[i], d_highs[i], d_keys[i]);
    SELECT array_agg(k.r), array_agg(k.c), array_agg(k.x) INTO rs, cs, vs FROM unnest(c_datasets, c_rows, c_cols, c_values) AS k(d, r, c, x) WHERE k.d = d_ids[i];
    EXECUTE format('INSERT INTO %I (row, col, version, value) SELECT r, c, $4, x FROM unnest($1, $2, $3) AS k(r, c, x)', 'd_' || d_ids[i]) USING rs, cs, vs, v;
    EXECUTE format(
      'DELETE FROM %1$I t USING unnest($1, $2) AS k(r, c) WHERE t.row = k.r AND t.col = k.c AND t.version < ' ||
      '(SELECT max(n.version) FROM %1$I n WHERE n.row = k.r AND n.col = k.c AND n.version < $3)', 'd_' || d_ids[i]
    ) USING rs, cs, lowest;
  END LOOP;
  RETURN 'ok';
END $$`;

export const SCHEMA = `
  CREATE SCHEMA IF NOT EXISTS ${SCHEMA_NAME};
  CREATE TABLE ${SCHEMA_NAME}.meta (name text PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 50);
  INSERT INTO ${SCHEMA_NAME}.meta VALUES ('layout', ${LAYOUT}), ('version', 0);
  CREATE TABLE ${SCHEMA_NAME}.datasets (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, namespace text NOT NULL, name text NOT NULL, definition jsonb NOT NULL, UNIQUE (namespace, name));
  CREATE TABLE ${SCHEMA_NAME}.sessions (
    epoch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, ttl int NOT NULL, beat timestamptz NOT NULL, floor bigint NOT NULL, fenced text);
  CREATE TABLE ${SCHEMA_NAME}.versions (version bigint PRIMARY KEY, epoch bigint NOT NULL, state text NOT NULL, token text);
  CREATE UNIQUE INDEX tokens ON ${SCHEMA_NAME}.versions (token) WHERE token IS NOT NULL;
  CREATE INDEX unsettled ON ${SCHEMA_NAME}.versions (version) WHERE state <> 'committed';
  CREATE TABLE ${SCHEMA_NAME}.writes (
    version bigint NOT NULL, dataset int NOT NULL, count int NOT NULL, low bytea NOT NULL, high bytea NOT NULL, keys bytea, PRIMARY KEY (version, dataset));
  CREATE TABLE ${SCHEMA_NAME}.samples (dataset int NOT NULL, version bigint NOT NULL, row bytea NOT NULL, weight int NOT NULL);
  CREATE INDEX samples_of ON ${SCHEMA_NAME}.samples (dataset);
  ${COMMIT_FUNCTION};
`;

/** The table of one dataset; columns are compared by their bytes. */
export function createTable(table: string): string {
  return `CREATE TABLE ${table} (row bytea NOT NULL, col text COLLATE "C" NOT NULL, version bigint NOT NULL, value bytea, PRIMARY KEY (row, col, version))`;
}
