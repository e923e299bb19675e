-- What decides how a version is built: the same recipe is not built again. Until now that was the executable itself.

ALTER TABLE versions ADD COLUMN recipe TEXT;
UPDATE versions SET recipe = executable;
CREATE INDEX versions_by_recipe ON versions (model, recipe, manifest);
DROP INDEX versions_by_content;
