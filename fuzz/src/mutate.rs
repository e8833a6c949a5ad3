//! Mutations of graphs as JSON values, which get past the syntax: every one is drawn from a seed and can be made again.

use std::collections::BTreeMap;

use hornbeam_engine::supported::instructions;
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

    /// A number below `n`, which is not 0.
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

/// Words that stand for something in graphs, beside the names of operations.
const WORDS: &[&str] =
    &["", "x", "set", "add", "max", "min", "multiply", "body", "true_graph", "data", "buffer", "00", "0000803f"];

/// Change `graph` in one to four places. Where `other` is given, parts may come from there.
pub fn mutate(graph: &mut Json, other: Option<&Json>, draw: &mut Draw) {
    for _ in 0..1 + draw.below(4) {
        once(graph, other, draw);
    }
}

fn once(graph: &mut Json, other: Option<&Json>, draw: &mut Draw) {
    match draw.below(12) {
        0..=2 => everywhere(graph, draw),
        3 => with_place(graph, draw, |place, _, draw| *place = strange(draw)),
        4..=5 => {
            let keyed = collected(other.unwrap_or(graph), draw);
            with_place(graph, draw, |place, key, draw| {
                if let Some(choices) = keyed.get(key) {
                    *place = draw.of(choices).clone();
                }
            });
        }
        6 => named(graph, draw, "op", |draw| json!(*draw.of(&instructions()))),
        7 => named(graph, draw, "in", |draw| json!((0..draw.below(4)).map(|_| draw.below(40)).collect::<Vec<_>>())),
        8 => with_place(graph, draw, |place, _, draw| list(place, draw)),
        9 => with_place(graph, draw, |place, _, draw| drop_key(place, draw)),
        _ => with_place(graph, draw, |place, _, draw| nudge(place, draw)),
    }
}

/// A number or a dtype becomes another in all places at once, so that what belongs together goes on to agree.
fn everywhere(graph: &mut Json, draw: &mut Draw) {
    let mut chosen = None;
    with_place(graph, draw, |place, _, _| chosen = (place.is_number() || place.is_string()).then(|| place.clone()));
    let Some(old) = chosen else { return };
    let new = match &old {
        Json::Number(_) => json!(*draw.of(NUMBERS)),
        Json::String(text) if DTYPES.contains(&text.as_str()) => json!(*draw.of(DTYPES)),
        _ => json!(*draw.of(&instructions())),
    };
    // Shapes and parameters: numbers of values are left as they are more often than not.
    let values_too = draw.below(4) == 0;
    replace(graph, &old, &new, values_too);
}

fn replace(place: &mut Json, old: &Json, new: &Json, values_too: bool) {
    if place == old {
        *place = new.clone();
        return;
    }
    match place {
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

fn strange(draw: &mut Draw) -> Json {
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

fn nudge(place: &mut Json, draw: &mut Draw) {
    let next = match place {
        Json::Number(number) => match number.as_i64() {
            Some(n) => json!(match draw.below(6) {
                0 => n.wrapping_add(1),
                1 => n.wrapping_sub(1),
                2 => n.wrapping_mul(2),
                3 => n.wrapping_neg(),
                4 => n ^ (1 << draw.below(63)),
                _ => *draw.of(NUMBERS),
            }),
            None => strange(draw),
        },
        Json::Bool(is) => json!(!*is),
        Json::String(text) if DTYPES.contains(&text.as_str()) => json!(*draw.of(DTYPES)),
        Json::String(text) if !text.is_empty() && text.bytes().all(|c| c.is_ascii_hexdigit()) => {
            let digits = text.len().max(2) / 2 * 2;
            json!((0..digits).map(|_| char::from(*draw.of(b"0123456789abcdef0f7f8000"))).collect::<String>())
        }
        _ => return list(place, draw),
    };
    *place = next;
}

/// Lists get an entry more, or less, or in another order.
fn list(place: &mut Json, draw: &mut Draw) {
    let Json::Array(items) = place else { return };
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

fn drop_key(place: &mut Json, draw: &mut Draw) {
    if let Json::Object(entries) = place {
        let keys: Vec<String> = entries.keys().cloned().collect();
        if !keys.is_empty() {
            entries.remove(draw.of(&keys));
        }
    }
}

/// Give a value drawn by `make` to the entry called `wanted` of some node.
fn named(graph: &mut Json, draw: &mut Draw, wanted: &str, make: impl Fn(&mut Draw) -> Json) {
    for _ in 0..8 {
        let mut done = false;
        with_place(graph, draw, |place, _, draw| {
            if let Some(entry) = place.get_mut(wanted) {
                (*entry, done) = (make(draw), true);
            }
        });
        if done {
            return;
        }
    }
}

/// Some values of each key.
fn collected(graph: &Json, draw: &mut Draw) -> BTreeMap<String, Vec<Json>> {
    fn walk(key: &str, value: &Json, draw: &mut Draw, found: &mut BTreeMap<String, Vec<Json>>) {
        let choices = found.entry(key.to_string()).or_default();
        if choices.len() < 8 {
            choices.push(value.clone());
        } else if draw.below(4) == 0 {
            let place = draw.below(8);
            choices[place] = value.clone();
        }
        match value {
            Json::Array(items) => items.iter().for_each(|item| walk(key, item, draw, found)),
            Json::Object(entries) => entries.iter().for_each(|(key, item)| walk(key, item, draw, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    walk("", graph, draw, &mut found);
    found
}

/// Call `change` with one place of the graph, all equally likely, and the key it stands under.
fn with_place(graph: &mut Json, draw: &mut Draw, change: impl FnOnce(&mut Json, &str, &mut Draw)) {
    fn count(value: &Json) -> usize {
        1 + match value {
            Json::Array(items) => items.iter().map(count).sum(),
            Json::Object(entries) => entries.values().map(count).sum(),
            _ => 0usize,
        }
    }
    /// The place itself, or how many places are still to be passed.
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
    if let Some((key, place)) = find("", graph, &mut left) {
        change(place, key, draw);
    }
}
