INSERT INTO publications (
  job_id, image_id, output_id, recipe, rendition, page, staged_name, ino, sha256, size_bytes, width, height, format,
  final_name, final_key, state, replaces
) VALUES (
  :job_id, :image_id, :output_id, :recipe, :rendition, :page, :staged_name, :ino, :sha256, :size_bytes, :width, :height,
  :format, :final_name, :final_key, 'owed', :replaces
);
