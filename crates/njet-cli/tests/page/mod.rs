//! A page as text: its tags, its attributes, what stands between them.

/// A tag of a page.
#[derive(Debug, Clone)]
pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// The text inside, that of inner tags included, entities resolved.
    pub text: String,
}

impl Tag {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Every tag of a page that is written as strictly as XML: each is closed, in order, and no text looks like one.
///
/// # Panics
/// Where the page is not.
pub fn tags(page: &str) -> Vec<Tag> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("the kind of document");
    let mut tags: Vec<Tag> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    while let Some(at) = rest.find('<') {
        let text = resolve(&rest[..at]);
        open.iter().for_each(|&i| tags[i].text += &text);
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap_or_else(|| panic!("a tag without an end: {:.60}", rest));
        let inside = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            let last = open.pop().unwrap_or_else(|| panic!("</{name}> closes nothing"));
            assert_eq!(tags[last].name, name, "closed in another order than opened");
            continue;
        }
        let (inside, alone) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.is_empty(), "a tag named {name:?}");
        tags.push(Tag { name: name.to_owned(), attributes: split(attributes), text: String::new() });
        if !alone {
            open.push(tags.len() - 1);
            if name == "style" {
                // Not markup: up to its end.
                let end = rest.find("</style>").expect("an end of the style sheet");
                tags.last_mut().unwrap().text += &rest[..end];
                rest = &rest[end..];
            }
        }
    }
    assert!(open.is_empty(), "never closed: {:?}", open.iter().map(|&i| &tags[i].name).collect::<Vec<_>>());
    assert_eq!(rest.trim(), "", "text after the end");
    tags
}

fn split(mut text: &str) -> Vec<(String, String)> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !text.trim().is_empty() {
        let (name, value) = text.trim_start().split_once("=\"").unwrap_or_else(|| panic!("attributes {text:?}"));
        let (value, rest) = value.split_once('"').expect("a closing quote");
        assert!(attributes.iter().all(|(known, _)| known != name), "{name} twice");
        attributes.push((name.to_owned(), resolve(value)));
        text = rest;
    }
    attributes
}

fn resolve(text: &str) -> String {
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    assert!(!text.contains('>'), "a > that is not written out: {text:?}");
    let bare = names.iter().fold(text.to_owned(), |text, (name, _)| text.replace(name, ""));
    assert!(!bare.contains('&'), "a & that is not written out: {text:?}");
    names.iter().fold(text.to_owned(), |text, (name, character)| text.replace(name, character))
}
