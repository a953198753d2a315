"""WordPress and MediaWiki in a browser: apps.py APPLICATION FRA PAR PASSWORD. What is written at one site is seen
at the other, whoever is logged in there, and no page speaks of localhost."""

import base64
import sys
import tempfile
import time
import urllib.error
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

application, fra, par, password = sys.argv[1:5]
WAIT_S = 60
# A picture of one pixel.
SQUARE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def say(text):
    print(f"ok: {application}: {text}", flush=True)


def die(text):
    sys.exit(f"FAILED: {application}: {text} (at {browser.current_url})\n{browser.page_source[:3000]}")


def until(what, condition):
    try:
        return WebDriverWait(browser, WAIT_S).until(condition)
    except Exception as e:  # a page that went away, too
        die(f"not within {WAIT_S} s: {what}: {type(e).__name__}")


def open_page(url):
    browser.get(url)
    source = browser.page_source
    if "localhost" in source or "127.0.0.1" in source:
        die(f"{url} speaks of localhost")
    return source


def field(by, name):
    return until(f"the field {name}", lambda b: b.find_element(by, name))


def is_there(url, text):
    """At the other site, within the time that a write takes to be there."""
    until(f"'{text}' at {url}", lambda b: text in open_page(url))


def picture_is_there(site, path):
    """The file itself, with the bytes of a picture; how long it took is said."""
    begun = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(site + path, timeout=10) as answer:
                if answer.read(8).startswith(b"\x89PNG"):
                    break
        except urllib.error.HTTPError:
            pass
        if time.monotonic() - begun > WAIT_S:
            die(f"no picture at {site + path}")
        time.sleep(0.05)
    say(f"the picture is at the other site, {time.monotonic() - begun:.2f} s after it was stored")


def submit(by, name):
    """Leaves the page; what follows looks at the next one."""
    before = browser.find_element(By.TAG_NAME, "html")
    field(by, name).click()
    until("the next page", lambda b: b.find_element(By.TAG_NAME, "html") != before)


class WordPress:
    def log_in(self, site):
        open_page(site + "/wp-login.php")
        field(By.ID, "user_login").send_keys("admin")
        field(By.ID, "user_pass").send_keys(password)
        until("both fields are filled", lambda b: b.find_element(By.ID, "user_pass").get_attribute("value") == password)
        submit(By.ID, "wp-submit")
        until("the dashboard", lambda b: "/wp-admin/" in b.current_url and b.find_element(By.ID, "wpadminbar"))

    def write(self, site, title):
        """A post with a picture, as the application's own interface sends it."""
        open_page(site + "/wp-admin/")
        status = browser.execute_async_script(
            """
            const [title, done] = [arguments[0], arguments[1]];
            (async () => {
              const nonce = await (await fetch('/wp-admin/admin-ajax.php?action=rest-nonce')).text();
              const picture = document.createElement('canvas');
              picture.width = picture.height = 64;
              picture.getContext('2d').fillRect(8, 8, 48, 48);
              const blob = await new Promise(ready => picture.toBlob(ready, 'image/png'));
              const media = await fetch('/index.php?rest_route=/wp/v2/media', {method: 'POST', body: blob,
                headers: {'X-WP-Nonce': nonce, 'Content-Type': 'image/png',
                          'Content-Disposition': 'attachment; filename="square.png"'}});
              const image = await media.json();
              const post = await fetch('/index.php?rest_route=/wp/v2/posts', {method: 'POST',
                headers: {'X-WP-Nonce': nonce, 'Content-Type': 'application/json'},
                body: JSON.stringify({title, status: 'publish',
                  content: 'Text of ' + title + '<img src="' + image.source_url + '">'})});
              return [media.status, post.status, image.source_url];
            })().then(done, e => done(String(e)));
            """,
            title,
        )
        if status[:2] != [201, 201]:
            die(f"a post with a picture: {status}")
        if not status[2].startswith(site + "/wp-content/uploads/"):
            die(f"the picture's address: {status[2]}")
        return status[2][len(site):]

    def run(self):
        self.log_in(par)
        say("logged in at par")
        self.log_in(fra)
        picture = self.write(fra, "First post of two sites")
        picture_is_there(par, picture)
        say("a post with a picture at fra")
        is_there(par + "/", "First post of two sites")
        say("its text is at par")
        picture_is_there(fra, self.write(par, "Second post of two sites"))
        is_there(fra + "/", "Second post of two sites")
        say("and the other way")


class MediaWiki:
    def log_in(self, site):
        open_page(site + "/index.php?title=Special:UserLogin")
        field(By.ID, "wpName1").send_keys("Admin")
        field(By.ID, "wpPassword1").send_keys(password)
        submit(By.ID, "wpLoginAttempt")
        until("the user's own page", lambda b: b.find_element(By.ID, "pt-userpage"))

    def write(self, site, title, text):
        open_page(f"{site}/index.php?title={title}&action=edit")
        area = field(By.ID, "wpTextbox1")
        area.clear()
        area.send_keys(text)
        submit(By.ID, "wpSave")
        until("the page is saved", lambda b: text in b.page_source and "wpTextbox1" not in b.page_source)

    def upload(self, site):
        open_page(site + "/index.php?title=Special:Upload")
        with tempfile.NamedTemporaryFile(prefix="square", suffix=".png") as f:
            f.write(base64.b64decode(SQUARE))
            f.flush()
            field(By.ID, "wpUploadFile").send_keys(f.name)
            name = field(By.ID, "wpDestFile")
            name.clear()
            name.send_keys("Square.png")
            submit(By.NAME, "wpUpload")
        link = until("the picture's page", lambda b: b.find_element(By.CSS_SELECTOR, ".fullMedia a"))
        return link.get_attribute("href")[len(site):]

    def run(self):
        self.log_in(fra)
        self.write(fra, "Two_sites", "Written at the first site.")
        say("a page at fra")
        is_there(par + "/index.php?title=Two_sites", "Written at the first site.")
        say("it is at par")
        self.log_in(par)
        self.write(par, "Two_sites", "Written at the second site.")
        is_there(fra + "/index.php?title=Two_sites", "Written at the second site.")
        say("changed at par, seen at fra")
        picture_is_there(fra, self.upload(par))


options = Options()
for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
    options.add_argument(argument)
browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
browser.set_script_timeout(WAIT_S)
try:
    begun = time.monotonic()
    {"wordpress": WordPress, "mediawiki": MediaWiki}[application]().run()
    say(f"{time.monotonic() - begun:.0f} s")
finally:
    browser.quit()
