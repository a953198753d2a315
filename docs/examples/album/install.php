<?php
// Makes the album's tables. Run once per cluster, and safe to run again.
require __DIR__ . '/lib.php';

db()->exec('CREATE TABLE IF NOT EXISTS photo (
    id CHAR(32) NOT NULL PRIMARY KEY,
    title VARCHAR(200) NOT NULL,
    type VARCHAR(40) NOT NULL,
    bytes INT UNSIGNED NOT NULL,
    site VARCHAR(64) NOT NULL,
    taken_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    KEY (taken_at)
) ENGINE=InnoDB');
