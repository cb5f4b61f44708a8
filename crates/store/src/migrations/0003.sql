-- What the request that made a batch was asked under: `NAME=VALUE`, separated by commas. Empty for batches
-- of before; their items run under what the workspace says.
ALTER TABLE batches ADD COLUMN quirks TEXT NOT NULL DEFAULT '';
