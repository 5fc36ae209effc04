-- The newest jobs of one kind.
SELECT id FROM jobs WHERE inbox = :inbox AND state = :state AND outcome IS :outcome AND id < :before
ORDER BY id DESC LIMIT :limit;
