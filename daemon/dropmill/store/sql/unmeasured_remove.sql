DELETE FROM unmeasured WHERE image_id = :image_id;
