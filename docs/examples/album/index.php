<?php
// The album: a list of the photos and a form to add one.
require __DIR__ . '/lib.php';

$problem = '';
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    try {
        store_photo($_FILES['photo'] ?? ['error' => UPLOAD_ERR_NO_FILE], trim($_POST['title'] ?? ''));
        header('Location: ./', true, 303);
        exit;
    } catch (InvalidArgumentException $e) {
        http_response_code(400);
        $problem = $e->getMessage();
    }
}
$h = fn (string $s): string => htmlspecialchars($s, ENT_QUOTES);
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Album</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
  header { display: flex; align-items: baseline; gap: 1rem; }
  header small { color: #777; }
  form { margin: 1rem 0 2rem; display: flex; gap: .5rem; flex-wrap: wrap; }
  ul { list-style: none; padding: 0; display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
  img { width: 100%; aspect-ratio: 4 / 3; object-fit: cover; border-radius: .4rem; background: #eee; }
  figcaption small { color: #777; }
  figure { margin: 0; }
  .problem { color: #b00020; }
</style>
<header><h1>Album</h1><small>served by <?= $h(config()['site']) ?></small></header>
<?php if ($problem !== '') { ?><p class="problem">Not added: <?= $h($problem) ?>.</p><?php } ?>
<form method="post" enctype="multipart/form-data">
  <input type="file" name="photo" accept="image/*" required>
  <input type="text" name="title" placeholder="Title" maxlength="200">
  <button>Add</button>
</form>
<ul>
<?php foreach (photos() as $p) { ?>
  <li><figure>
    <a href="photo.php?id=<?= $p['id'] ?>"><img src="photo.php?id=<?= $p['id'] ?>&amp;small=1" alt="" loading="lazy"></a>
    <figcaption><?= $h($p['title']) ?><br><small>from <?= $h($p['site']) ?>, <?= $h($p['taken_at']) ?></small></figcaption>
  </figure></li>
<?php } ?>
</ul>
</html>
