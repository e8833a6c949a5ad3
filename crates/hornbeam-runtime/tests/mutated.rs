//! Files with random changes, and a checksum that fits: errors, never panics.

use hornbeam_runtime::{Buffer, DType, Error, FrozenModel, TensorType};
use proptest::prelude::*;

const GRAPH: &str = concat!(
    r#"{"inputs":[["float32",[3,2]],["float32",["=batch",3]]],"nodes":["#,
    r#"{"op":"dot_general","in":[1,0],"out":[["float32",["=batch",2]]],"#,
    r#""params":{"contract":[[1],[0]],"batch":[[],[]]}},"#,
    r#"{"op":"exp","in":[2],"out":[["float32",["=batch",2]]]}],"outputs":[3]}"#
);
const MODEL: &str = concat!(
    r#"{"signatures":{"predict":{"inputs":[{"name":"x","dtype":"float32","shape":["=batch",3]}],"#,
    r#""outputs":[{"name":"y","dtype":"float32","shape":["=batch",2]}],"#,
    r#""weights":["kernel"],"constants":[]}},"metadata":{}}"#
);

/// A file with these texts, a kernel of zeros, and the right checksum.
fn file(model: &str, graph: &str) -> Vec<u8> {
    let mut body = vec![0u8; 24];
    let mut table = vec![r#""kernel":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]}"#.to_owned()];
    for (name, text) in [("graph/predict", graph), ("model", model)] {
        let (begin, bytes) = (body.len(), text.len());
        let end = begin + bytes;
        table.push(format!(r#""{name}":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[{begin},{end}]}}"#));
        body.extend(text.as_bytes());
    }
    let about = format!(r#"{{"format":"hornbeam","version":"1","crc32":"{:08x}"}}"#, crc32fast::hash(&body));
    let mut header = format!(r#"{{"__metadata__":{about},{}}}"#, table.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &body].concat()
}

fn run(bytes: Vec<u8>) -> Result<Vec<Buffer>, Error> {
    let model = FrozenModel::from_bytes(bytes)?;
    let input = Buffer::from_bytes(TensorType::new(DType::F32, vec![5, 3]), &[0; 60]);
    model.signature("predict")?.run(&[input])
}

#[test]
fn the_file_runs() {
    let outputs = run(file(MODEL, GRAPH)).unwrap();
    assert_eq!(outputs[0].tensor.shape, [5, 2]);
    assert_eq!(outputs[0].bytes()[..4], 1f32.to_ne_bytes());
}

/// A text with some of its bytes replaced by others that JSON knows.
fn mutated(text: &str, changes: &[(usize, u8)]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let length = bytes.len();
    for &(place, letter) in changes {
        bytes[place % length] = letter;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let letters = prop::sample::select(b"0123456789-=[]{}\",:abhtcxy ".to_vec());
    prop::collection::vec((0usize..1000, letters), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_texts_are_errors(model in changes(), graph in changes()) {
        let _ = run(file(&mutated(MODEL, &model), GRAPH));
        let _ = run(file(MODEL, &mutated(GRAPH, &graph)));
    }

    #[test]
    fn changed_bytes_are_errors(changes in prop::collection::vec((0usize..2000, any::<u8>()), 1..4), cut in 0usize..100) {
        let mut bytes = file(MODEL, GRAPH);
        let length = bytes.len();
        for (place, byte) in changes {
            bytes[place % length] = byte;
        }
        bytes.truncate(length - cut);
        let _ = run(bytes);
    }
}
