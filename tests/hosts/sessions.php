<?php
// One request of tests/hosts/sessions.sh, with the handler before it: does what its arguments say, a word each,
// and prints what it has then.
$id = $argv[1];
$out = fopen('php://stdout', 'w');
if ($id !== '-') {
    session_id($id);
}
$words = array_slice($argv, 2);
if (!@session_start(['use_cookies' => 0, 'cache_limiter' => ''])) {
    fwrite($out, "failed\n");
    exit(1);
}
foreach ($words as $word) {
    [$verb, $name, $value] = explode('=', $word . '==');
    switch ($verb) {
        case 'count':
            $_SESSION[$name] = ($_SESSION[$name] ?? 0) + 1;
            break;
        case 'set':
            $_SESSION[$name] = $value;
            break;
        case 'object':
            $_SESSION[$name] = new ArrayObject(['a|b";}' => [1.5, true, null, -7], 'x' => new stdClass()]);
            break;
        case 'ref':
            $_SESSION[$name] = [&$_SESSION[$value]];
            break;
        case 'unset':
            unset($_SESSION[$name]);
            break;
        case 'hold': // until the file $value is there; $name says that it holds
            touch($name);
            for ($n = 0; !file_exists($value) && $n < 2000; $n++) {
                usleep(10000);
                clearstatcache();
            }
            break;
        case 'regenerate':
            session_regenerate_id(true);
            break;
        case 'destroy':
            session_destroy();
            break;
        case 'close':
            session_write_close();
            break;
    }
}
ksort($_SESSION);
fwrite($out, session_id() . ' ' . json_encode($_SESSION) . "\n");
