<?php
// written by muster-agent
// PHP's sessions of the application are rows of its database, which all nodes have. Of two requests of one
// session at one node the second waits for the first. At two nodes the one that ends later finds that the
// row has changed, and puts what it changed itself into that.
(static function () {
    $handler = new class('@dsn@', '@user@', '@password@') implements
        SessionHandlerInterface,
        SessionUpdateTimestampHandlerInterface
    {
        private const TRIES = 8;
        private const TOUCH_S = 60; // a session that is only read is noted as used so often
        private const SWEEP = 500; // rows at once
        private const CONNECT_S = 5;
        private const LOCK_S = 30; // for another request of the same session
        private const DEADLOCK = 1213; // of Galera: another node was first
        // And: the row has changed; the connection is lost; the row was made meanwhile.
        private const AGAIN = [self::DEADLOCK, 1020, 2006, 2013, 1062];

        private $dsn;
        private $user;
        private $password;
        private $db = null;
        private $id = null; // what was read last
        private $row = null; // as it was then, or null: there was none
        private $held = false; // and is locked since
        private $sweep = false;

        public function __construct($dsn, $user, $password)
        {
            $this->dsn = $dsn;
            $this->user = $user;
            $this->password = $password;
        }

        #[\ReturnTypeWillChange]
        public function open($path, $name)
        {
            return true;
        }

        #[\ReturnTypeWillChange]
        public function close()
        {
            $this->attempt(function () {
                $this->release();
                if ($this->sweep) {
                    $this->run(
                        'DELETE FROM muster_sessions WHERE touched < UNIX_TIMESTAMP() - ? ORDER BY touched LIMIT '
                            . self::SWEEP,
                        [$this->life()]
                    );
                }
            }, 1);
            $this->sweep = false;
            $this->db = $this->id = $this->row = null;
            $this->held = false;
            return true;
        }

        // When it cannot be seen, the visitor keeps his session's name, and read() fails.
        #[\ReturnTypeWillChange]
        public function validateId($id)
        {
            return $this->good($id) && (!$this->load($id) || $this->row !== null);
        }

        #[\ReturnTypeWillChange]
        public function read($id)
        {
            if (!$this->good($id) || (!($this->held && $this->id === $id) && !$this->load($id))) {
                return false;
            }
            return $this->row === null ? '' : $this->row['data'];
        }

        #[\ReturnTypeWillChange]
        public function write($id, $data)
        {
            if (!$this->good($id) || ($this->id !== $id && !$this->load($id))) {
                return false;
            }
            return $this->attempt(function () use ($id, $data) {
                $now = $this->held ? $this->row : $this->lock($id);
                if ($now === null && $this->row !== null) {
                    $this->release(); // it was ended elsewhere meanwhile
                    return;
                }
                if ($now === null) {
                    $this->run(
                        'INSERT INTO muster_sessions VALUES (?, ?, 1, UNIX_TIMESTAMP())',
                        [$this->key($id), $data]
                    );
                } else {
                    $this->run(
                        'UPDATE muster_sessions SET data = ?, version = version + 1, touched = UNIX_TIMESTAMP()'
                            . ' WHERE id = ?',
                        [$this->joined($data, $now), $this->key($id)]
                    );
                }
                $this->run('COMMIT');
                $this->held = false;
            });
        }

        #[\ReturnTypeWillChange]
        public function updateTimestamp($id, $data)
        {
            if ($this->id !== $id || $this->row === null) {
                return $this->write($id, $data);
            }
            if ($this->row['age'] < min(self::TOUCH_S, intdiv($this->life(), 10))) {
                return true;
            }
            return $this->attempt(function () use ($id) {
                $this->run('UPDATE muster_sessions SET touched = UNIX_TIMESTAMP() WHERE id = ?', [$this->key($id)]);
                $this->run('COMMIT');
                $this->held = false;
            });
        }

        #[\ReturnTypeWillChange]
        public function destroy($id)
        {
            return $this->good($id) && $this->attempt(function () use ($id) {
                $this->release();
                $this->run('DELETE FROM muster_sessions WHERE id = ?', [$this->key($id)]);
                $this->id = $this->row = null;
            });
        }

        // At the end of the request, when no lock is held any more.
        #[\ReturnTypeWillChange]
        public function gc($life)
        {
            $this->sweep = true;
            return 0;
        }

        private function good($id)
        {
            return is_string($id) && preg_match('/^[A-Za-z0-9,-]{22,256}$/D', $id) === 1;
        }

        // Who reads the database does not get the names by which visitors are known.
        private function key($id)
        {
            return hash('sha256', $id, true);
        }

        private function life()
        {
            return max(60, (int) ini_get('session.gc_maxlifetime'));
        }

        private function load($id)
        {
            $this->id = null;
            return $this->attempt(function () use ($id) {
                $row = $this->lock($id);
                if ($row !== null && !$row['live']) {
                    $row = null;
                }
                if ($row === null) {
                    $this->release();
                }
                $this->id = $id;
                $this->row = $row;
            });
        }

        private function lock($id)
        {
            $this->release();
            $this->run('START TRANSACTION');
            $this->held = true;
            $found = $this->run(
                'SELECT data, version, UNIX_TIMESTAMP() - touched AS age, touched >= UNIX_TIMESTAMP() - ? AS live'
                    . ' FROM muster_sessions WHERE id = ? FOR UPDATE',
                [$this->life(), $this->key($id)]
            )->fetchAll(PDO::FETCH_ASSOC);
            return $found ? $found[0] : null;
        }

        private function release()
        {
            if ($this->held) {
                $this->held = false;
                $this->run('ROLLBACK');
            }
        }

        private function run($text, $values = [])
        {
            if ($this->db === null) {
                $this->db = new PDO($this->dsn, $this->user, $this->password, [
                    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                    PDO::ATTR_EMULATE_PREPARES => false,
                    PDO::ATTR_TIMEOUT => self::CONNECT_S,
                    PDO::MYSQL_ATTR_INIT_COMMAND => "SET SESSION wsrep_sync_wait = 1, SESSION tx_isolation = "
                        . "'READ-COMMITTED', SESSION innodb_lock_wait_timeout = " . self::LOCK_S,
                ]);
            }
            if (!$values) {
                return $this->db->exec($text);
            }
            $statement = $this->db->prepare($text);
            $statement->execute($values);
            return $statement;
        }

        private function attempt($what, $tries = self::TRIES)
        {
            for ($n = 1;; $n++) {
                try {
                    $what();
                    return true;
                } catch (PDOException $e) {
                    $code = $e->errorInfo[1] ?? 0;
                    $this->held = false;
                    if ($code !== self::DEADLOCK) {
                        $this->db = null; // with what it had begun; after a deadlock there is nothing of that
                    }
                    if ($n >= $tries || !in_array($code, self::AGAIN, true)) {
                        if ($tries > 1) {
                            error_log('muster-agent: session: ' . $e->getMessage());
                        }
                        return false;
                    }
                    usleep(random_int(1000, 5000 * $n));
                }
            }
        }

        // What this request changed of what it read, in what there is now.
        private function joined($own, $now)
        {
            $base = $this->row;
            if ($base !== null && $now['version'] === $base['version'] || $base === null && !$now['live']) {
                return $own;
            }
            $was = $this->parts($base === null ? '' : $base['data']);
            $mine = $this->parts($own);
            $there = $this->parts($now['data']);
            if ($was === null || $mine === null || $there === null) {
                error_log('muster-agent: session: changed at two nodes at once, and the later one counts');
                return $own;
            }
            foreach ($was + $mine as $name => $unused) {
                if (!array_key_exists($name, $mine)) {
                    unset($there[$name]);
                } elseif (!array_key_exists($name, $was) || $mine[$name] !== $was[$name]) {
                    $there[$name] = $mine[$name];
                }
            }
            $text = '';
            foreach ($there as $name => $value) {
                $text .= $name . '|' . $value;
            }
            return $text;
        }

        // The serialized values by their names; null: another format, or values that refer to each other.
        private function parts($text)
        {
            $parts = [];
            if (ini_get('session.serialize_handler') !== 'php') {
                return null;
            }
            for ($at = 0; $at < strlen($text); $at = $end) {
                $bar = strpos($text, '|', $at);
                $end = $bar === false ? null : $this->after($text, $bar + 1);
                if ($end === null) {
                    return null;
                }
                $parts[substr($text, $at, $bar - $at)] = substr($text, $bar + 1, $end - $bar - 1);
            }
            return $parts;
        }

        // Where the value that begins at $at ends; null: it is not understood.
        private function after($text, $at)
        {
            if (preg_match('/\G(?:N|[bid]:[^;{}:"]+);/', $text, $m, 0, $at)) {
                return $at + strlen($m[0]);
            }
            if (preg_match('/\G[sE]:(\d+):"/', $text, $m, 0, $at)) {
                $end = $at + strlen($m[0]) + (int) $m[1];
                return substr($text, $end, 2) === '";' ? $end + 2 : null;
            }
            if (!preg_match('/\G(?:a|O:\d+:"[^"]+"):(\d+):\{/', $text, $m, 0, $at)) {
                return null;
            }
            $at += strlen($m[0]);
            for ($n = 2 * (int) $m[1]; $n > 0 && $at !== null; $n--) {
                $at = $this->after($text, $at);
            }
            return $at !== null && substr($text, $at, 1) === '}' ? $at + 1 : null;
        }
    };

    $started = session_status() === PHP_SESSION_ACTIVE; // session.auto_start
    if ($started) {
        session_abort();
    }
    ini_set('session.use_strict_mode', '1');
    ini_set('session.gc_probability', '1'); // Debian's own sweeping looks at files only
    ini_set('session.gc_divisor', '100');
    session_set_save_handler($handler, true);
    if ($started) {
        session_start();
    }
})();
