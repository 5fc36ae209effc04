INSERT INTO deeds (batch_id, group_id, action, holding_id, image_id, job_id, sha256, root_id, rel, size_bytes,
  keeper_root_id, keeper_rel, keeper_sha256, target_root_id, target_name, state, detail, hint)
VALUES (:batch_id, :group_id, :action, :holding_id, :image_id, :job_id, :sha256, :root_id, :rel, :size_bytes,
  :keeper_root_id, :keeper_rel, :keeper_sha256, :target_root_id, :target_name, :state, :detail, :hint);
