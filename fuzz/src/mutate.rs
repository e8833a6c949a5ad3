//! Mutations of graphs as JSON values, which keep the syntax valid. Each is drawn from a seed and reproducible.

use std::collections::BTreeMap;

use hornbeam_engine::supported::operations;
use serde_json::{json, Value as Json};

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Draw(pub u64);

impl Draw {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

const DTYPES: &[&str] = &[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32",
    "float64",
];

const NUMBERS: &[i64] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    64,
    65,
    127,
    128,
    129,
    255,
    256,
    1 << 16,
    1 << 24,
    1 << 31,
    1 << 40,
    1 << 58,
    1 << 59,
    1 << 62,
    i64::MAX,
    -1,
    -2,
    -3,
    -(1 << 24),
    -(1 << 31),
    i64::MIN,
    i64::MIN + 1,
];

/// Strings with a meaning in graphs, besides the names of operations.
const WORDS: &[&str] =
    &["", "x", "set", "add", "max", "min", "multiply", "body", "true_graph", "data", "buffer", "00", "0000803f"];

/// Mutate one to four values of `graph`. With `other`, some are replaced by values of that graph.
pub fn mutate(graph: &mut Json, other: Option<&Json>, draw: &mut Draw) {
    for _ in 0..1 + draw.below(4) {
        mutate_once(graph, other, draw);
    }
}

fn mutate_once(graph: &mut Json, other: Option<&Json>, draw: &mut Draw) {
    match draw.below(12) {
        0..=2 => replace_everywhere(graph, draw),
        3 => with_random_value(graph, draw, |value, _, draw| *value = random_value(draw)),
        4..=5 => {
            let keyed = values_by_key(other.unwrap_or(graph), draw);
            with_random_value(graph, draw, |value, key, draw| {
                if let Some(choices) = keyed.get(key) {
                    *value = draw.of(choices).clone();
                }
            });
        }
        6 => set_entry(graph, draw, "op", |draw| json!(*draw.of(&operations()))),
        7 => set_entry(graph, draw, "in", |draw| json!((0..draw.below(4)).map(|_| draw.below(40)).collect::<Vec<_>>())),
        8 => with_random_value(graph, draw, |value, _, draw| edit_list(value, draw)),
        9 => with_random_value(graph, draw, |value, _, draw| drop_key(value, draw)),
        _ => with_random_value(graph, draw, |value, _, draw| perturb(value, draw)),
    }
}

/// Replace a number or a dtype by another wherever it occurs, so that related values stay equal.
fn replace_everywhere(graph: &mut Json, draw: &mut Draw) {
    let mut chosen = None;
    with_random_value(graph, draw, |value, _, _| {
        chosen = (value.is_number() || value.is_string()).then(|| value.clone())
    });
    let Some(old) = chosen else { return };
    let new = match &old {
        Json::Number(_) => json!(*draw.of(NUMBERS)),
        Json::String(text) if DTYPES.contains(&text.as_str()) => json!(*draw.of(DTYPES)),
        _ => json!(*draw.of(&operations())),
    };
    // Shapes and parameters always, value numbers rarely.
    let values_too = draw.below(4) == 0;
    replace(graph, &old, &new, values_too);
}

fn replace(value: &mut Json, old: &Json, new: &Json, values_too: bool) {
    if value == old {
        *value = new.clone();
        return;
    }
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| replace(item, old, new, values_too)),
        Json::Object(entries) => {
            for (key, item) in entries.iter_mut() {
                if values_too || !matches!(key.as_str(), "in" | "outputs" | "index" | "buffer" | "scope") {
                    replace(item, old, new, values_too);
                }
            }
        }
        _ => {}
    }
}

fn random_value(draw: &mut Draw) -> Json {
    match draw.below(9) {
        0 => Json::Null,
        1 => json!(draw.below(2) == 0),
        2 => json!(f64::from_bits(draw.bits())),
        3 => json!(u64::MAX),
        4 => json!(*draw.of(WORDS)),
        5 => json!(*draw.of(DTYPES)),
        6 => json!([]),
        7 => json!((0..draw.below(6)).map(|_| *draw.of(NUMBERS)).collect::<Vec<_>>()),
        _ => json!(*draw.of(NUMBERS)),
    }
}

fn perturb(value: &mut Json, draw: &mut Draw) {
    let next = match value {
        Json::Number(number) => match number.as_i64() {
            Some(n) => json!(match draw.below(6) {
                0 => n.wrapping_add(1),
                1 => n.wrapping_sub(1),
                2 => n.wrapping_mul(2),
                3 => n.wrapping_neg(),
                4 => n ^ (1 << draw.below(63)),
                _ => *draw.of(NUMBERS),
            }),
            None => random_value(draw),
        },
        Json::Bool(is) => json!(!*is),
        Json::String(text) if DTYPES.contains(&text.as_str()) => json!(*draw.of(DTYPES)),
        Json::String(text) if !text.is_empty() && text.bytes().all(|c| c.is_ascii_hexdigit()) => {
            let digits = text.len().max(2) / 2 * 2;
            json!((0..digits).map(|_| char::from(*draw.of(b"0123456789abcdef0f7f8000"))).collect::<String>())
        }
        _ => return edit_list(value, draw),
    };
    *value = next;
}

/// Insert, remove or swap entries of a list.
fn edit_list(value: &mut Json, draw: &mut Draw) {
    let Json::Array(items) = value else { return };
    if items.is_empty() {
        return items.push(json!(1));
    }
    let (a, b) = (draw.below(items.len()), draw.below(items.len()));
    match draw.below(4) {
        0 => drop(items.remove(a)),
        1 => items.insert(b, items[a].clone()),
        2 => items.swap(a, b),
        _ => items.insert(a, json!(1)),
    }
}

fn drop_key(value: &mut Json, draw: &mut Draw) {
    if let Json::Object(entries) = value {
        let keys: Vec<String> = entries.keys().cloned().collect();
        if !keys.is_empty() {
            entries.remove(draw.of(&keys));
        }
    }
}

/// Set the entry `key` of some node to a value drawn by `make`.
fn set_entry(graph: &mut Json, draw: &mut Draw, key: &str, make: impl Fn(&mut Draw) -> Json) {
    for _ in 0..8 {
        let mut done = false;
        with_random_value(graph, draw, |value, _, draw| {
            if let Some(entry) = value.get_mut(key) {
                (*entry, done) = (make(draw), true);
            }
        });
        if done {
            return;
        }
    }
}

/// Some values of each key.
fn values_by_key(graph: &Json, draw: &mut Draw) -> BTreeMap<String, Vec<Json>> {
    fn walk(key: &str, value: &Json, draw: &mut Draw, values: &mut BTreeMap<String, Vec<Json>>) {
        let choices = values.entry(key.to_string()).or_default();
        if choices.len() < 8 {
            choices.push(value.clone());
        } else if draw.below(4) == 0 {
            let index = draw.below(8);
            choices[index] = value.clone();
        }
        match value {
            Json::Array(items) => items.iter().for_each(|item| walk(key, item, draw, values)),
            Json::Object(entries) => entries.iter().for_each(|(key, item)| walk(key, item, draw, values)),
            _ => {}
        }
    }
    let mut values = BTreeMap::new();
    walk("", graph, draw, &mut values);
    values
}

/// Call `change` with a uniformly drawn value of the graph and the key that holds it.
fn with_random_value(graph: &mut Json, draw: &mut Draw, change: impl FnOnce(&mut Json, &str, &mut Draw)) {
    fn count(value: &Json) -> usize {
        1 + match value {
            Json::Array(items) => items.iter().map(count).sum(),
            Json::Object(entries) => entries.values().map(count).sum(),
            _ => 0usize,
        }
    }
    /// Return value number `left` in depth-first order, or subtract the number of values visited.
    fn find<'a>(key: &'a str, value: &'a mut Json, left: &mut usize) -> Option<(&'a str, &'a mut Json)> {
        if *left == 0 {
            return Some((key, value));
        }
        *left -= 1;
        match value {
            Json::Array(items) => items.iter_mut().find_map(|item| find(key, item, left)),
            Json::Object(entries) => entries.iter_mut().find_map(|(key, item)| find(key, item, left)),
            _ => None,
        }
    }
    let mut left = draw.below(count(graph));
    if let Some((key, value)) = find("", graph, &mut left) {
        change(value, key, draw);
    }
}
