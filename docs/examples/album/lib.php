<?php
// What the pages share: the configuration, the database, the files.

const PHOTOS = __DIR__ . '/photos'; // a directory that all sites have the same of
const THUMBNAIL_WIDTH = 320;
const IMAGE_MAX_BYTES = 12 * 1024 * 1024;
const TYPES = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];

function config(): array
{
    static $config = null;

    return $config ??= require __DIR__ . '/config.php';
}

/** A reader sees all that any site had stored before: in a Galera cluster another node may be a moment behind. */
function db(): PDO
{
    static $db = null;

    return $db ??= new PDO(config()['dsn'], config()['user'], config()['password'], [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        PDO::ATTR_EMULATE_PREPARES => false,
        PDO::MYSQL_ATTR_INIT_COMMAND => 'SET SESSION wsrep_sync_wait = 1',
    ]);
}

/** A JPEG of at most THUMBNAIL_WIDTH pixels, or null when the bytes are no picture. */
function thumbnail(string $bytes): ?string
{
    $image = @imagecreatefromstring($bytes);
    if ($image === false) {
        return null;
    }
    if (imagesx($image) > THUMBNAIL_WIDTH) {
        $image = imagescale($image, THUMBNAIL_WIDTH);
    }
    ob_start();
    imagejpeg($image, null, 85);

    return ob_get_clean();
}

/** Stores an uploaded file; the new photo's id, or a text saying why not as an exception. */
function store_photo(array $file, string $title): string
{
    if ($file['error'] !== UPLOAD_ERR_OK) {
        throw new InvalidArgumentException('the file did not arrive');
    }
    if ($file['size'] > IMAGE_MAX_BYTES) {
        throw new InvalidArgumentException('the file is larger than 12 MiB');
    }
    $bytes = file_get_contents($file['tmp_name']);
    $type = (new finfo(FILEINFO_MIME_TYPE))->buffer($bytes);
    $small = in_array($type, TYPES, true) ? thumbnail($bytes) : null;
    if ($small === null) {
        throw new InvalidArgumentException('the file is not a picture');
    }
    $id = bin2hex(random_bytes(16));
    keep(photo_path($id, true), $small);
    keep(photo_path($id, false), $bytes);
    $insert = db()->prepare('INSERT INTO photo (id, title, type, bytes, site) VALUES (?, ?, ?, ?, ?)');
    $insert->execute([
        $id, mb_substr($title !== '' ? $title : $file['name'], 0, 200), $type, strlen($bytes),
        config()['site'],
    ]);

    return $id;
}

function photo_path(string $id, bool $small): string
{
    return PHOTOS . "/$id" . ($small ? '.small' : '');
}

/** Another site never sees a part of a file: it gets its name when it is whole and on the disk. */
function keep(string $path, string $bytes): void
{
    $f = fopen("$path.part", 'xb');
    if ($f === false || fwrite($f, $bytes) !== strlen($bytes) || !fsync($f) || !fclose($f)
        || !rename("$path.part", $path)) {
        throw new RuntimeException("the photo could not be written to $path");
    }
}

function photos(): array
{
    return db()->query('SELECT id, title, type, bytes, site, taken_at FROM photo
        ORDER BY taken_at DESC, id LIMIT 200')->fetchAll();
}
