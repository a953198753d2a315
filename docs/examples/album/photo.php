<?php
// One photo, or its thumbnail with small=1.
require __DIR__ . '/lib.php';

const WAIT_MS = 2000; // the row of a new photo may be here some milliseconds before its file

$query = db()->prepare('SELECT id, type FROM photo WHERE id = ?');
$query->execute([(string) ($_GET['id'] ?? '')]);
$photo = $query->fetch();
if ($photo === false) {
    http_response_code(404);
    exit('no such photo');
}
$small = isset($_GET['small']);
$path = photo_path($photo['id'], $small);
for ($waited = 0; !is_file($path) && $waited < WAIT_MS; $waited += 20) {
    usleep(20000);
    clearstatcache();
}
if (!is_file($path)) {
    http_response_code(503);
    header('Retry-After: 5');
    exit('the file of this photo is not here yet');
}
header('Content-Type: ' . ($small ? 'image/jpeg' : $photo['type']));
header('Content-Length: ' . filesize($path));
header('Cache-Control: private, max-age=86400');
header('X-Content-Type-Options: nosniff');
readfile($path);
