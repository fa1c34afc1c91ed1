//! The page, without a browser: that it is whole, that its parts fit, and that nothing leaves its place.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FORCES, NASTY};
use crate::cli::{Folder, refused, text};

/// The page that the arguments ask for.
pub(super) fn page(folder: &Folder, arguments: &[&str]) -> String {
    let path = folder.path("page.html");
    let output = crate::cli::schur(&[&["inspect"], arguments, &["--html", &path]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}"))
}

/// What the page's script is given.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).expect("the page has data");
    let (data, _) = rest.split_once("</script>").expect("the data end");
    serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}"))
}

/// The values of an attribute in an HTML text.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!(" {name}=\"");
    page.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn list<'d>(value: &'d Value, key: &str) -> &'d [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_else(|| panic!("{key} is a list"))
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_else(|| panic!("{value} is a number"))
}

/// Checks that a page's drawings and listings name only what there is.
fn check(page: &str) {
    let data = data(page);
    for view in ["before", "after"] {
        let values = list(&data["views"][view], "values");
        let start = format!(r#"<svg class="drawing" data-view="{view}""#);
        let drawing = page.split(&start).nth(1).and_then(|rest| rest.split("</svg>").next()).expect("it is drawn");
        let drawn: BTreeSet<usize> = attributes(drawing, "data-value").iter().map(|v| v.parse().unwrap()).collect();
        for (k, value) in values.iter().enumerate() {
            let is_read = values.iter().any(|other| list(other, "reads").contains(&k.into()));
            let is_op = !["input", "param"].contains(&value["op"].as_str().unwrap_or_default());
            assert_eq!(drawn.contains(&k), is_op || is_read || !list(value, "outputs").is_empty(), "{view} %{k}");
        }
        for end in ["data-from", "data-to"] {
            for id in attributes(drawing, end).iter().flat_map(|ids| ids.split(' ')) {
                assert!(drawn.contains(&id.parse::<usize>().unwrap()), "a wire leads to {id}, which is not drawn");
            }
        }
    }
    let (before, after) = (list(&data["views"]["before"], "values"), list(&data["views"]["after"], "values"));
    for value in after {
        assert!(list(value, "sources").iter().all(|source| number(source) < before.len()));
        assert!(list(value, "rules").iter().all(|rule| data["rules"][rule.as_str().unwrap()].is_boolean()));
    }
    let mut computed = BTreeSet::new();
    for kernel in list(&data, "kernels") {
        let (loops, clif) = (list(kernel, "loops"), list(kernel, "clif"));
        computed.extend(loops.iter().filter(|line| !line[1].is_null()).map(|line| number(&line[1])));
        assert!(clif.iter().filter(|line| !line[1].is_null()).all(|line| number(&line[1]) < loops.len()));
        let asm = list(kernel, "asm");
        assert!(asm.iter().filter(|line| !line[1].is_null()).all(|line| number(&line[1]) < clif.len()));
        if cfg!(target_arch = "x86_64") {
            let is_linked = |line: &&Value| !line[2].is_null();
            let (calls, others): (Vec<_>, Vec<_>) =
                asm.iter().partition(|line| line[0].as_str().is_some_and(|text| text.contains("call")));
            // Those that ask for the rows of the next tile come first or last, and are of no statement.
            let ends = [calls.iter().position(is_linked), calls.iter().rposition(is_linked)];
            let of_statements = if let [Some(first), Some(last)] = ends { &calls[first..=last] } else { &[] };
            assert!(of_statements.iter().all(is_linked));
            // A kernel that calls micro-kernels is mostly addresses that several calls share.
            let linked = others.iter().copied().filter(is_linked).count();
            assert!(2 * linked > others.len() || !of_statements.is_empty(), "{linked} of {} are linked", others.len());
        }
    }
    let ops = (0..).zip(after).filter(|(_, v)| !["input", "param", "reshape"].contains(&v["op"].as_str().unwrap()));
    let ops: BTreeSet<usize> = ops.map(|(k, _)| k).collect();
    assert!(computed.is_subset(&ops), "{computed:?}");
    // An elementwise value that others only add has no loops but theirs.
    for op in ops.difference(&computed) {
        let readers = || (0..).zip(after).filter(|(_, v)| list(v, "reads").contains(&(*op).into()));
        assert!(readers().count() > 0 && list(&after[*op], "outputs").is_empty(), "%{op} has no loops");
        assert!(readers().all(|(reader, _)| computed.contains(&reader)), "what reads %{op} has no loops");
    }
}

#[test]
fn pages_of_the_example_are_whole() {
    let folder = Folder::new();
    for arguments in
        [&[FORCES][..], &[FORCES, "--train"], &[FORCES, "--gradients"], &[FORCES, "--gradients", "--train"]]
    {
        let page = page(&folder, arguments);
        check(&page);
        assert_eq!(page, self::page(&folder, arguments), "one spec has one page");
    }
}

#[test]
fn a_page_needs_nothing_else() {
    let folder = Folder::new();
    let page = page(&folder, &[FORCES]);
    for reach in ["http:", "https:", "src=", "href=", "url(", "@import", "fetch(", "XMLHttpRequest", "WebSocket"] {
        assert!(!page.contains(reach), "the page holds {reach}");
    }
    assert!(page.contains("default-src 'none'") && !page.contains("{{") && page.ends_with("</html>\n"));
    assert!(refused(1, &["inspect", FORCES, "--html", &folder.path("no/page.html")]).contains("cannot write"));
}

#[test]
fn names_stay_in_their_places() {
    let folder = Folder::new();
    let spec = folder.write("model.toml", NASTY);
    let page = page(&folder, &[&spec, "--gradients"]);
    check(&page);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<b title") && !page.contains("<i>\""), "a name became a tag");
    let data = data(&page);
    assert_eq!(data["name"], r#"</script><b title="x">&amp;{{data}}"#);
    assert_eq!(list(&data["views"]["after"], "values").last().unwrap()["layer"], "<script><!--<i>\"&");
    assert!(page.contains("<h1>&lt;/script&gt;&lt;b title=&quot;x&quot;&gt;&amp;amp;{{data}}</h1>"));
}
