//! The text of a graph with sizes that are not known: `"=4*batch + 1"` stands where the engine reads a number.

use crate::error::{damaged, Result};
use crate::size::{Size, Symbols};

/// Begins a size in the text; no other string of a graph begins with an equals sign.
const OPEN: &str = "\"=";

pub struct Template {
    /// Text before each size, and after the last one.
    texts: Vec<String>,
    sizes: Vec<Size>,
}

impl Template {
    pub fn parse(text: &str) -> Result<Template> {
        let mut parts = text.split(OPEN);
        let mut template = Template { texts: vec![parts.next().unwrap_or_default().to_owned()], sizes: Vec::new() };
        for part in parts {
            let (size, after) = part.split_once('"').ok_or_else(|| damaged!("a size in a graph does not end"))?;
            template.sizes.push(Size::parse(size)?);
            template.texts.push(after.to_owned());
        }
        Ok(template)
    }

    /// The text with numbers for the sizes.
    pub fn render(&self, symbols: &Symbols) -> Result<String> {
        let mut text = self.texts[0].clone();
        for (size, after) in self.sizes.iter().zip(&self.texts[1..]) {
            text.push_str(&size.evaluate(symbols)?.to_string());
            text.push_str(after);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_numbers() {
        let template = Template::parse(r#"{"out":[["float32",["=batch","=3*batch",2]]]}"#).unwrap();
        let text = template.render(&Symbols::from([("batch".to_owned(), 5)])).unwrap();
        assert_eq!(text, r#"{"out":[["float32",[5,15,2]]]}"#);
    }

    #[test]
    fn a_size_without_an_end_is_an_error() {
        assert!(Template::parse(r#"{"out":["=batch"#).is_err());
    }
}
