<?php
// One photo, or its thumbnail with small=1.
require __DIR__ . '/lib.php';

$column = isset($_GET['small']) ? 'thumbnail' : 'image';
$query = db()->prepare("SELECT type, $column AS bytes FROM photo WHERE id = ?");
$query->execute([(string) ($_GET['id'] ?? '')]);
$photo = $query->fetch();
if ($photo === false) {
    http_response_code(404);
    exit('no such photo');
}
header('Content-Type: ' . ($column === 'thumbnail' ? 'image/jpeg' : $photo['type']));
header('Cache-Control: private, max-age=86400');
header('X-Content-Type-Options: nosniff');
echo $photo['bytes'];
