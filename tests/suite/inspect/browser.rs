//! The page in a real browser, driven through Chromium's DevTools protocol over a pipe.
//!
//! Where no Chromium is installed the tests say so and are skipped.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::FORCES;
use super::page::page;
use crate::cli::Folder;

/// How long a test may take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(180);

/// The first of the browser's usual names that is installed.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// A browser that shows one page.
struct Browser {
    process: Arc<Mutex<Child>>,
    /// Dropped when the test is over, so that nobody ends the browser for being slow.
    _running: Sender<()>,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    _profile: TempDir,
}

impl Browser {
    /// Starts the browser; `None` where there is none.
    fn start() -> Option<Self> {
        let Some(chromium) = chromium() else {
            eprintln!("SKIPPED: no Chromium is installed, so the page was not looked at in a browser");
            return None;
        };
        let profile = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        // The browser reads commands from file 3 and writes replies to file 4.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#])
            .arg(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--remote-debugging-pipe", "--window-size=1400,900"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{e}"));
        let (commands, replies) = (process.stdin.take().expect("piped"), process.stdout.take().expect("piped"));
        let (process, replies) = (Arc::new(Mutex::new(process)), BufReader::new(replies));
        let _running = end_after(PATIENCE, process.clone());
        let mut browser = Browser { process, _running, commands, replies, session: None, calls: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        Some(browser)
    }

    /// Calls a method of the protocol.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut command = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap_or_else(|e| panic!("{method}: {e}"));
        loop {
            let mut reply = Vec::new();
            self.replies.read_until(0, &mut reply).unwrap_or_else(|e| panic!("{method}: {e}"));
            assert_eq!(reply.pop(), Some(0), "the browser ended during {method}");
            let reply: Value = serde_json::from_slice(&reply).unwrap_or_else(|e| panic!("{e}"));
            assert_ne!(reply["method"], "Runtime.exceptionThrown", "{reply:#}");
            if reply["id"] == self.calls {
                assert!(reply["error"].is_null(), "{method}: {reply}");
                return reply["result"].clone();
            }
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result:#}");
        result["result"]["value"].clone()
    }

    fn text(&mut self, selector: &str) -> String {
        let value = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Loads a page; exceptions of its script fail the test from then on.
    fn load(&mut self, path: &str) {
        self.call("Runtime.enable", json!({}));
        self.call("Page.navigate", json!({ "url": format!("file://{path}") }));
        while self.value("document.readyState === 'complete' && location.protocol === 'file:'") != true {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A click with the mouse in the middle of an element.
    fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const b = document.querySelector({selector:?}).getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    fn press(&mut self, key: &str) {
        let text = if key.len() == 1 { key } else { "" };
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": key, "text": text }));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        end(&self.process);
    }
}

fn end(process: &Mutex<Child>) {
    let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = process.kill();
    let _ = process.wait();
}

/// Ends a browser that is still in use after some time: the test then finds its pipe closed, and fails.
fn end_after(time: Duration, process: Arc<Mutex<Child>>) -> Sender<()> {
    let (running, over) = channel();
    thread::spawn(move || {
        if over.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            end(&process);
        }
    });
    running
}

/// The page of the example in a browser.
fn example(arguments: &[&str]) -> Option<(Browser, Folder)> {
    let mut browser = Browser::start()?;
    let folder = Folder::new();
    page(&folder, arguments);
    browser.load(&folder.path("page.html"));
    Some((browser, folder))
}

#[test]
fn a_click_on_a_value_shows_all_that_is_known_of_it() {
    let Some((mut browser, _folder)) = example(&[FORCES]) else { return };
    assert!(browser.text("#details").contains("Select a value"));
    // A value over rows that a rule made, of several statements that each have code, whose box can be seen.
    let id = browser.value(
        "(() => { const statements = DATA.kernels.flatMap((kernel) => kernel.loops); \
         const codes = (id) => new Set(statements.filter(([, of]) => of === Number(id)).map(([, , code]) => code)).size; \
         const glyph = canvases.get('after').glyphs.find((glyph) => { \
         const [value, box] = [DATA.views.after.values[glyph.dataset.value], glyph.getBoundingClientRect()]; \
         return value.op === 'contract' && !value.type.text.includes('[]') && value.rules.length > 0 && codes(glyph.dataset.value) > 1 && box.bottom < innerHeight && box.right < 900; }); \
         return glyph.dataset.value; })()",
    );
    let id = id.as_str().expect("there is one");
    browser.click(&format!(r#"[data-view="after"] .value[data-value="{id}"]"#));
    let of = |part: &str| format!("DATA.views.after.values[{id}].{part}");
    let (details, ty) = (browser.text("#details"), browser.value(&of("type.text")));
    for part in [&format!("%{id}"), ty.as_str().unwrap(), "operations", "Read by"] {
        assert!(details.contains(part), "{part} is not in {details}");
    }
    let rules = browser.value("[...document.querySelectorAll('.rules code')].map((rule) => rule.textContent)");
    assert_eq!(rules, browser.value(&of("rules")));
    for (listing, word) in [("loops", "[row]"), ("clif", "store"), ("asm", "mov")] {
        let lines = browser.text(&format!("[data-listing={listing}] .lines"));
        assert!(lines.contains(word), "{listing}: {lines}");
    }
    assert_eq!(browser.value("document.querySelectorAll('.value.selected').length"), 1);

    let arrays = "[...document.querySelectorAll('[data-listing=loops] .name-of')].map((word) => word.title)";
    let arrays = browser.value(arrays);
    let told = |title: &serde_json::Value| title.as_str().is_some_and(|title| title.contains(": "));
    assert!(arrays.as_array().is_some_and(|titles| !titles.is_empty() && titles.iter().all(told)), "{arrays}");

    // A line of loops marks its lines of Cranelift IR and machine code, and no others.
    browser.click("[data-listing=loops] .line");
    let marked =
        |listing: &str| format!("document.querySelectorAll('[data-listing={listing}] .line:is(.hot, .warm)').length");
    let [loops, clif, asm] = ["loops", "clif", "asm"].map(|listing| browser.value(&marked(listing)).as_u64().unwrap());
    let all = browser.value("document.querySelectorAll('[data-listing=clif] .line').length").as_u64().unwrap();
    assert!(loops == 1 && clif > 1 && asm > 1 && clif < all, "{loops} {clif} {asm} of {all}");
}

#[test]
fn the_page_is_used_with_keys() {
    let Some((mut browser, _folder)) = example(&[FORCES, "--gradients"]) else { return };
    browser.value("document.querySelector('[data-view=\"after\"] .value[tabindex=\"0\"]').focus()");
    let selected = "document.querySelector('.value.selected')?.dataset.value ?? ''";
    browser.press("Enter");
    let first = browser.value(selected);
    browser.press("ArrowDown");
    let second = browser.value(selected);
    assert!(first != second && second != "", "{first} {second}");
    assert_eq!(browser.value("document.activeElement.classList.contains('selected')"), true);
    browser.press("ArrowUp");
    assert_ne!(browser.value(selected), second);

    let shown = "document.querySelector('[data-show][aria-checked=\"true\"]').textContent";
    assert_eq!(browser.value(shown), "Simplified");
    browser.press("b");
    assert_eq!(browser.value(shown), "Both");
    browser.press("b");
    assert_eq!(browser.value(shown), "Joint");

    browser.press("/");
    for key in ["g", "a", "t", "e", "s"] {
        browser.press(key);
    }
    assert!(browser.text("#found").parse::<usize>().is_ok_and(|n| n > 3));
    browser.press("Enter");
    assert!(browser.text("#details .layer").contains("gates"));
    browser.value("document.activeElement.blur()");
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.value(ground);
    browser.press("t");
    assert_ne!(browser.value(ground), light);
    browser.press("Escape");
    assert!(browser.text("#details").contains("Select a value"));
}
