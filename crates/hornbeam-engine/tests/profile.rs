//! Profiles: counts and scopes of instructions.

mod common;

use common::buffer;
use hornbeam_engine::error::Error;
use hornbeam_engine::executable::Executable;
use serde_json::Value as Json;

/// max(x @ w + b, 0), then a sum without a scope; the bias is added in another scope.
const DENSE: &str = r#"{"scopes": ["dense", "relu"],
 "inputs": [["float32", [4, 3]], ["float32", [3, 5]], ["float32", [5]]],
 "nodes": [
  {"op": "dot_general", "in": [0, 1], "out": [["float32", [4, 5]]], "scope": 1,
   "params": {"contract": [[1], [0]], "batch": [[], []]}},
  {"op": "broadcast", "in": [2], "out": [["float32", [4, 5]]], "scope": 1, "params": {"dims": [1]}},
  {"op": "add", "in": [3, 4], "out": [["float32", [4, 5]]], "scope": 1},
  {"op": "constant", "in": [], "out": [["float32", []]], "params": {"data": "00000000"}},
  {"op": "broadcast", "in": [6], "out": [["float32", [4, 5]]], "params": {"dims": []}},
  {"op": "max", "in": [5, 7], "out": [["float32", [4, 5]]], "scope": 2},
  {"op": "reduce_sum", "in": [8], "out": [["float32", [4]]], "params": {"axes": [1]}}],
 "outputs": [9]}"#;

/// Five times x -> exp(x) in a loop; the body has no scope.
const LOOP: &str = r#"{"scopes": ["rnn"],
 "inputs": [["float32", [7]]],
 "nodes": [
  {"op": "scan", "in": [0], "out": [["float32", [7]], ["float32", [5, 7]]], "scope": 1,
   "params": {"carries": 1, "sequences": 0, "length": 5, "reverse": false, "body":
    {"inputs": [["float32", [7]]], "nodes": [{"op": "exp", "in": [0], "out": [["float32", [7]]]}], "outputs": [1]}}},
  {"op": "project", "in": [1], "out": [["float32", [7]]], "params": {"index": 0}}],
 "outputs": [2]}"#;

fn profile(executable: &Executable) -> Json {
    serde_json::from_str(&executable.profile().unwrap().json()).unwrap()
}

fn instruction<'a>(profile: &'a Json, kind: &str) -> &'a Json {
    let all = profile["instructions"].as_array().unwrap();
    all.iter().find(|i| i["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {all:?}"))
}

#[test]
fn instructions_have_layers_and_costs() {
    let executable = Executable::profiled(DENSE, Vec::new()).unwrap();
    let inputs = || vec![buffer(&[4, 3], &[1.0; 12]), buffer(&[3, 5], &[1.0; 15]), buffer(&[5], &[0.5; 5])];
    for _ in 0..3 {
        executable.run(inputs(), &[]).unwrap();
    }
    let profiled = profile(&executable);
    let dot = instruction(&profiled, "dot_general");
    // Bias and relu are fused into the product and count for its layer.
    assert_eq!(dot["scopes"], serde_json::json!([["dense", 1]]));
    assert_eq!((dot["runs"].as_u64(), dot["flops"].as_u64()), (Some(3), Some(2 * 4 * 3 * 5)));
    assert_eq!(dot["bytes"].as_u64(), Some(4 * (12 + 15 + 20)));
    assert_eq!(instruction(&profiled, "reduce_sum")["scopes"], serde_json::json!([]));
    let events = profiled["events"].as_array().unwrap();
    assert_eq!(events.len(), 3 * profiled["instructions"].as_array().unwrap().len());
    executable.profile().unwrap().clear();
    let cleared = profile(&executable);
    assert_eq!(instruction(&cleared, "dot_general")["runs"], 0);
    assert!(cleared["events"].as_array().unwrap().is_empty());
}

#[test]
fn nested_programs_belong_to_the_layer_of_their_loop() {
    let executable = Executable::profiled(LOOP, Vec::new()).unwrap();
    executable.run(vec![buffer(&[7], &[0.0; 7])], &[]).unwrap();
    let profiled = profile(&executable);
    let body = instruction(&profiled, "fused");
    assert_eq!((body["runs"].as_u64(), body["flops"].as_u64()), (Some(5), Some(7)));
    assert_eq!(body["scopes"], serde_json::json!([["rnn", 1]]));
    let all = profiled["instructions"].as_array().unwrap();
    assert_eq!(all[body["parent"].as_u64().unwrap() as usize]["kind"], "scan");
}

#[test]
fn profiles_are_kept_only_on_request() {
    let executable = Executable::compile(DENSE, Vec::new()).unwrap();
    assert_eq!(executable.profile().is_some(), hornbeam_engine::profile::is_printed());
}

#[test]
fn errors_about_unsupported_operations_name_the_layer() {
    let error_of = |op: &str, dtype: &str, params: &str| {
        let text = format!(
            "{{\"scopes\":[\"net/odd\"],\"inputs\":[[\"{dtype}\",[2,2]]],\"nodes\":[{{\"op\":\"{op}\",\"in\":[0],\
             \"out\":[[\"{dtype}\",[2,2]]],\"scope\":1,\"params\":{{{params}}}}}],\"outputs\":[1]}}"
        );
        Executable::compile(&text, Vec::new()).err().unwrap()
    };
    for error in [error_of("warp", "float32", ""), error_of("cumsum", "bool", "\"axis\":0,\"reverse\":false")] {
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        assert!(error.to_string().ends_with("(in net/odd)"), "{error}");
    }
}

#[test]
fn scopes_that_do_not_exist_are_errors() {
    let text = DENSE.replace("\"scope\": 2", "\"scope\": 3");
    assert!(matches!(Executable::compile(&text, Vec::new()), Err(Error::Decode(_))));
}
