<?php
// The album for programs: GET lists the photos as JSON, POST adds one (fields as in the form).
require __DIR__ . '/lib.php';

header('Content-Type: application/json');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    try {
        $id = store_photo($_FILES['photo'] ?? ['error' => UPLOAD_ERR_NO_FILE], trim($_POST['title'] ?? ''));
        http_response_code(201);
        echo json_encode(['id' => $id]);
    } catch (InvalidArgumentException $e) {
        http_response_code(400);
        echo json_encode(['error' => $e->getMessage()]);
    }
    exit;
}
echo json_encode(['site' => config()['site'], 'photos' => photos()]);
