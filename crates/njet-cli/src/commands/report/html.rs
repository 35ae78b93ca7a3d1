//! Text and numbers as HTML.

use std::fmt::Write;

/// Text that stands for itself between tags and in quoted attributes. Control characters, which have no place in a page,
/// become the replacement character.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A number as it is shown, with its exact value for machines.
pub fn number(value: f64, shown: &str) -> String {
    format!("<data value=\"{value}\">{}</data>", escape(shown))
}

/// `90.4 %` with a narrow space, and the exact value.
pub fn percent(part: f64, digits: usize) -> String {
    number(part, &format!("{:.digits$}\u{202f}%", 100.0 * part))
}

/// A section with a heading. `body` is HTML.
pub fn section(id: &str, heading: &str, body: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-heading\">\n<h2 id=\"{id}-heading\">{}</h2>\n{body}</section>\n",
        escape(heading)
    )
}

/// A paragraph of text for people, not HTML.
pub fn note(text: &str) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(text))
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Words; the first such column heads its row.
    Words,
    /// Numbers, right-aligned.
    Numbers,
}

/// A table in a frame of its own that scrolls where the page is narrow. Cells are HTML, the rest is text.
pub fn table(caption: &str, header: &[(&str, Column)], rows: &[Vec<String>]) -> String {
    let caption = escape(caption);
    // A region that scrolls has to be reachable by keyboard.
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table>\n<caption>{caption}</caption>\n<thead><tr>"
    );
    let class = |column| if column == Column::Numbers { " class=\"number\"" } else { "" };
    for (name, column) in header {
        write!(html, "<th scope=\"col\"{}>{}</th>", class(*column), escape(name)).expect("writing to a string");
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for (i, (cell, (_, column))) in row.iter().zip(header).enumerate() {
            let (open, close) = if i == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            write!(html, "<{open}{}>{cell}</{close}>", class(*column)).expect("writing to a string");
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table>\n</div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escape("<a href=\"x\">'&'</a>\u{7}\n"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;\u{fffd}\n"
        );
    }

    #[test]
    fn numbers_keep_their_value() {
        assert_eq!(percent(0.12345, 1), "<data value=\"0.12345\">12.3\u{202f}%</data>");
    }
}
