UPDATE disposals SET anchor_image_id = NULL WHERE anchor_image_id = :image_id;
