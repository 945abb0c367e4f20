use super::*;
use proptest::prelude::*;

#[test]
fn scalars_messages_lists_and_comments_are_read() {
    let text = "
# a comment
name: \"a \\\"b\\\" \" 'c'   # another
max_batch_size: 8;
version_policy { specific: { versions: [1, 3] versions: 7 } },
input [ { name: 'x' dims: [-1] }, < name: 'y' > ]
empty: []
kind: KIND_CPU
";
    let message = Message::parse(text).unwrap();
    assert_eq!(message.last("name").unwrap().text(), Some("a \"b\" c"));
    assert_eq!(message.last("max_batch_size").unwrap().integer(), Some(8));
    let policy = message.last("version_policy").unwrap().message().unwrap();
    let specific = policy.last("specific").unwrap().message().unwrap();
    assert_eq!(specific.all("versions").filter_map(Value::integer).collect::<Vec<_>>(), [1, 3, 7]);
    let names = message.all("input").filter_map(|input| input.message()?.last("name")?.text());
    assert_eq!(names.collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(message.last("kind").unwrap().text(), Some("KIND_CPU"));
    assert!(message.last("empty").is_none());
    assert_eq!(Message::parse(""), Ok(Message::default()));
}

#[test]
fn what_is_no_text_format_is_told_with_its_line() {
    let error = |text| Message::parse(text).unwrap_err();
    assert_eq!(error("name: \"x\"\nmax 3"), "line 2: expected ':' or '{' after 'max'");
    assert_eq!(error("a {\n b: 1"), "line 2: expected '}' before the end of the file");
    assert_eq!(error("a: \"x"), "line 1: a text without its closing quote");
    assert_eq!(error("}"), "line 1: expected a field's name, got '}'");
    assert_eq!(error("a:"), "line 1: expected a value of 'a'");
    assert!(error(&"a {".repeat(1000)).contains("more than 32 messages in each other"));
}

proptest! {
    #[test]
    fn any_text_ends_in_a_message_or_an_error(text in "[a-z:{}<>\\[\\]\"'#,;0-9 \\n\\\\é-]{0,80}") {
        let _ = Message::parse(&text);
    }
}
