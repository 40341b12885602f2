use std::sync::LazyLock;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::settings::{Setting, Settings};

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let mut settings = Settings::default();
    settings.insert("sid", Setting::Plain("AC1".to_owned()));
    settings.insert("token", Setting::Secret(vec!["old".to_owned().into(), "new".to_owned().into()]));
    settings.insert("empty", Setting::Secret(vec![String::new().into()]));
    settings
});
static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("Asia/Jakarta").unwrap());

fn surroundings() -> Surroundings<'static> {
    Surroundings::new(&SETTINGS, "ID", &ZONE)
}

fn eval(source: &str, input: &Json) -> Result<Option<Json>, String> {
    Filter::compile(source)?.run_first(input, &surroundings())
}

fn given(source: &str, input: &Json) -> Json {
    eval(source, input).unwrap_or_else(|error| panic!("{source}: {error}")).unwrap_or(Json::Null)
}

#[test]
fn a_compiled_filter_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Filter>();
}

#[test]
fn the_language_is_jq() {
    for (source, input, expected) in [
        (".a.b", json!({"a": {"b": 1}}), json!(1)),
        (".", json!([1]), json!([1])),
        (".a[\"b c\"]?", json!({"a": {"b c": "x"}}), json!("x")),
        (".a.b?", json!({"a": "text"}), json!(null)),
        ("$root.x", json!({"x": 2}), json!(2)),
        (".a[] | select(.k == \"x\") | .v", json!({"a": [{"k": "x", "v": 7}]}), json!(7)),
        ("[.[] | IN(\"a\", \"b\")]", json!(["a", "c"]), json!([true, false])),
        ("\"\\(.f)|\\(.t)\"", json!({"f": "+1", "t": 2}), json!("+1|2")),
        ("[range(3)]", json!(null), json!([0, 1, 2])),
        ("[range(6; 0; -2)]", json!(null), json!([6, 4, 2])),
        ("reduce .[] as $x (0; . + $x)", json!([1, 2, 3]), json!(6)),
        ("[limit(2; .[])]", json!([1, 2, 3]), json!([1, 2])),
        ("\"a,b\" / \",\"", json!(null), json!(["a", "b"])),
        ("[.[] | tostring]", json!([1, "x", {"a": [null, true, 1.5]}]), json!(["1", "x", "{\"a\":[null,true,1.5]}"])),
        ("tojson | fromjson", json!({"a": "é\n\"\\"}), json!({"a": "é\n\"\\"})),
        ("\"12\" | tonumber", json!(null), json!(12)),
        ("[\"a-b\", \"c\"] | map(test(\"-\"))", json!(null), json!([true, false])),
        ("capture(\"(?<n>[0-9]+)\") | .n", json!("kode 42"), json!("42")),
        ("gsub(\"[^0-9]\"; \"\")", json!("0811-1"), json!("08111")),
        ("[splits(\", *\")]", json!("a, b,c"), json!(["a", "b", "c"])),
        (".a |= . + 1", json!({"a": 1}), json!({"a": 2})),
        (".a[1] = 9", json!({"a": [1, 2]}), json!({"a": [1, 9]})),
        (".[1:] = [7]", json!([1, 2, 3]), json!([1, 7])),
        ("del(.a, .b)", json!({"a": 1, "b": 2, "c": 3}), json!({"c": 3})),
        ("to_entries | map(.key) | sort", json!({"b": 1, "a": 2}), json!(["a", "b"])),
        ("with_entries(.value += 1)", json!({"a": 1}), json!({"a": 2})),
        ("{a: {b: 1}} * {a: {c: 2}}", json!(null), json!({"a": {"b": 1, "c": 2}})),
        ("[.. | numbers]", json!({"a": [1, {"b": 2}]}), json!([1, 2])),
        ("max_by(.w).id", json!([{"w": 1, "id": "s"}, {"w": 9, "id": "l"}]), json!("l")),
        ("length", json!("héé"), json!(3)),
        ("[.[] | length]", json!([null, "ab", [1], {"a": 1}, -3]), json!([0, 2, 1, 1, 3])),
        ("has(\"a\"), has(\"b\")", json!({"a": null}), json!(true)),
        ("contains(\"mati\")", json!("lampu mati"), json!(true)),
        ("contains({a: [{b: \"x\"}]})", json!({"a": [{"b": "xyz"}], "c": 1}), json!(true)),
        ("indices(\"b\")", json!("äbcb"), json!([1, 3])),
        ("index(\", \"), rindex(\", \")", json!("a, b, c"), json!(1)),
        ("indices(2)", json!([1, 2, 1, 2]), json!([1, 3])),
        ("[bsearch(2), bsearch(5)]", json!([1, 2, 3]), json!([1, -4])),
        ("try error(\"x\") catch .", json!(null), json!("x")),
        ("group_by(.k) | map(length)", json!([{"k": 1}, {"k": 2}, {"k": 1}]), json!([2, 1])),
        ("@base64 \"\\(.)\"", json!("hi"), json!("aGk=")),
        ("@uri", json!("a b"), json!("a%20b")),
        ("ascii_downcase | ltrimstr(\"a\")", json!("AB"), json!("b")),
        ("first(.[] | select(. > 1))", json!([1, 2, 3]), json!(2)),
        ("if .x then \"y\" elif .z then 1 else null end", json!({"z": true}), json!(1)),
        ("getpath([\"a\", \"b\"])", json!({"a": {"b": 3}}), json!(3)),
        (". as [$a, {b: $b}] | $a + $b", json!([1, {"b": 2}]), json!(3)),
        ("[.[] as {a: $x} | $x]", json!([{"a": 1}]), json!([1])),
        ("flatten", json!([1, [2, [3]]]), json!([1, 2, 3])),
        ("transpose", json!([[1, 2], [3]]), json!([[1, 3], [2, null]])),
        ("[paths]", json!({"a": [1]}), json!([["a"], ["a", 0]])),
        ("walk(if type == \"number\" then . + 1 else . end)", json!([1, {"a": 2}]), json!([2, {"a": 3}])),
        ("@json \"x\\(.)\"", json!([1]), json!("x[1]")),
        (".n / 1000", json!({"n": 1_767_225_600_000_i64}), json!(1_767_225_600.0)),
        ("12345678901234567890123 | tostring", json!(null), json!("12345678901234567890123")),
    ] {
        assert_eq!(given(source, &input), expected, "{source}");
    }
}

#[test]
fn nothing_and_null_are_absent() {
    for source in ["empty", "null", ".missing", ".a.b.c"] {
        assert_eq!(eval(source, &json!({})), Ok(None), "{source}");
    }
}

#[test]
fn ours_do_what_the_specification_says() {
    for (source, input, expected) in [
        ("digits", json!("+62 (811) 1"), json!("628111")),
        ("digits", json!(62), json!("62")),
        ("digits", json!(null), json!(null)),
        ("epoch", json!("2026-01-01 07:00:00"), json!(1_767_225_600)),
        ("epoch", json!("2026-01-01T00:00:00.000+0000"), json!(1_767_225_600)),
        ("epoch", json!(1_767_225_600_123_i64), json!(1_767_225_600.123)),
        ("epoch", json!(null), json!(null)),
        ("epoch(\"UTC\")", json!("2026-01-01 00:00:00"), json!(1_767_225_600)),
        ("b64d", json!("aGFsbw=="), json!("halo")),
        ("b64d", json!("aGFsbw"), json!("halo")),
        ("b64d", json!("_-8"), json!("\u{FFFD}\u{FFFD}")),
        ("b64d", json!("aGF\r\nsbw=="), json!("halo")),
        ("decode(\"hex\"; \"utf-16be\")", json!("0068006920ac"), json!("hi€")),
        ("decode(\"base64\"; \"iso-8859-1\")", json!("6Q=="), json!("é")),
        ("decode(\"percent\"; \"utf-8\")", json!("a%20+b%C3%A9"), json!("a +bé")),
        ("sha256", json!("abc"), json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        ("html_text", json!("<p>a &amp; b</p><script>x</script>"), json!("a & b")),
        ("secret_eq(.t; \"token\")", json!({"t": "new"}), json!(true)),
        ("secret_eq(.t; \"token\")", json!({"t": "old"}), json!(true)),
        ("secret_eq(.t; \"token\")", json!({"t": "oldnew"}), json!(false)),
        ("secret_eq(.t; \"token\")", json!({"t": null}), json!(false)),
        ("secret_eq(\"\"; \"empty\")", json!(null), json!(false)),
        ("secret_eq(\"\"; \"missing\")", json!(null), json!(false)),
        ("e164", json!("0811 0000 0001"), json!("+6281100000001")),
        ("e164", json!("PERTAMINA"), json!(null)),
        ("e164", json!(null), json!(null)),
        ("[[], {}] | map(e164)", json!(null), json!([null, null])),
    ] {
        assert_eq!(given(source, &input), expected, "{source}");
    }
    for (source, input) in [
        ("epoch", json!("soon")),
        ("epoch", json!([])),
        ("epoch(\"Mars/Base\")", json!("2026-01-01")),
        ("b64d", json!("a!b")),
        ("b64d", json!([])),
        ("decode(\"hex\"; \"utf-8\")", json!("0g")),
        ("decode(\"rot13\"; \"utf-8\")", json!("x")),
        ("decode(\"hex\"; \"klingon\")", json!("00")),
        ("sha256", json!({})),
        ("html_text", json!(null)),
    ] {
        let error = eval(source, &input).unwrap_err();
        assert!(error.starts_with('`'), "{source}: {error}");
    }
}

#[test]
fn what_reads_the_world_or_may_not_end_is_refused() {
    for (source, named) in [
        ("def f: f; f", "`def`"),
        ("import \"x\" as x; .", "`import`"),
        ("include \"x\"; .", "`include`"),
        ("env.HOME", "`env`"),
        ("$ENV.HOME", "`$ENV`"),
        ("input", "`input`"),
        ("[inputs]", "`inputs`"),
        (". | debug", "`debug`"),
        ("debug(\"x\")", "`debug`"),
        ("stderr", "`stderr`"),
        ("input_filename", "`input_filename`"),
        ("input_line_number", "`input_line_number`"),
        ("now", "`now`"),
        ("{a: (now | localtime)}", "`now`"),
        ("localtime", "`localtime`"),
        ("strflocaltime(\"%Y\")", "`strflocaltime`"),
        ("halt", "`halt`"),
        ("halt_error", "`halt_error`"),
        ("halt_error(1)", "`halt_error`"),
        ("limit(1; repeat(1))", "`repeat`"),
        ("[.[] | while(true; .)]", "`while`"),
        ("if true then until(false; .) else . end", "`until`"),
        ("recurse(.a)", "`recurse`"),
        ("recurse(.a; . != null)", "`recurse`"),
        ("[range(1001)]", "`range`"),
        ("[range(0; 100000)]", "`range`"),
        ("[range(-5000; 0; 1)]", "`range`"),
        ("\"\\(now)\"", "`now`"),
        ("{(now): 1}", "`now`"),
        (". as {(now): $x} | $x", "`now`"),
        (".[now]", "`now`"),
        (".[now:]", "`now`"),
        ("reduce now as $x (0; .)", "`now`"),
        ("try now catch .", "`now`"),
        ("-(now)", "`now`"),
        ("label $x | now", "`now`"),
        ("loket_matches(\"a\"; \"\")", "`loket_matches`"),
        ("secret_eq(.a; .b)", "`secret_eq`"),
        ("nonsense(1)", "`nonsense/1`"),
        ("$nothing", "`$nothing`"),
        ("@nonsense", "`@nonsense/0`"),
    ] {
        let error = Filter::compile(source).expect_err(source);
        assert!(error.contains(named), "{source}: {error}");
    }
    for source in ["[range(1000)]", "[recurse]", "..", "[range(.n)]", "limit(2; .[])", "first(.[])"] {
        assert!(Filter::compile(source).is_ok(), "{source}");
    }
}

#[test]
fn a_source_that_is_no_filter_is_explained() {
    for (source, part) in [
        ("", "expected term, found the end"),
        (".a |", "expected term"),
        ("if . then 1", "expected else or end"),
        ("(.a", "expected closing parenthesis"),
        (".a b", "found `b"),
        ("§", "expected token"),
    ] {
        let error = Filter::compile(source).unwrap_err();
        assert!(error.contains(part), "{source}: {error}");
    }
    assert!(Filter::compile(&"(".repeat(8000)).is_err());
    // Brackets alone leave no trace in the parsed form; what nests in it does.
    assert!(Filter::compile(&("(".repeat(4000) + "." + &")".repeat(4000))).is_ok());
    assert!(Filter::compile(&("[".repeat(4000) + "." + &"]".repeat(4000))).unwrap_err().contains("nests deeper"));
    assert!(Filter::compile(&("- ".repeat(4000) + "1")).unwrap_err().contains("nests deeper"));
    assert!(Filter::compile(&" ".repeat(10_000)).unwrap_err().contains("longer"));
}

#[test]
fn the_deepest_filter_runs_on_an_ordinary_stack() {
    for (open, close) in
        [("[", "]"), ("[.[]?, ", "]"), ("try (", ") catch ."), ("first(", ")"), ("map(", ")"), ("(1 + ", ")")]
    {
        let depth =
            (1..60).rev().find(|depth| Filter::compile(&(open.repeat(*depth) + "." + &close.repeat(*depth))).is_ok());
        let source = open.repeat(depth.unwrap()) + "." + &close.repeat(depth.unwrap());
        let _ = eval(&source, &json!([[1]]));
    }
    let pipes = vec![". as $x | [$x]"; 30].join(" | ");
    assert!(eval(&pipes, &json!(1)).is_ok());
}

#[test]
fn a_computed_range_stops_at_a_thousand() {
    assert_eq!(given("[range(.n)] | length", &json!({"n": 1_000_000_000})), json!(1000));
    assert_eq!(given("[range(0; 1; .by)] | length", &json!({"by": 0})), json!(1000));
}

#[test]
fn no_run_takes_the_memory_of_the_gateway() {
    let big = json!({"n": 1_000_000_000_000_i64, "t": "x".repeat(100_000), "k": 999});
    for source in [
        "\"x\" * .n",
        "\"x\" * 1e9",
        ".n * \"x\"",
        "reduce range(1000) as $i (\"x\"; . + .)",
        "reduce range(1000) as $i (\"x\"; \"\\(.)\\(.)\")",
        "reduce range(1000) as $i ([1]; . + .)",
        "reduce range(1000) as $i ([1]; [.[], .[]])",
        "reduce range(100) as $i ([1]; [., .]) | tojson",
        "reduce range(100) as $i (1; {a: ., b: .}) | [..] | length",
        "reduce range(1000) as $i (null; [.])",
        "reduce range(1000) as $i (null; {a: .})",
        "reduce (range(1000) | range(1000)) as $i ({}; . as $s | .a = $s)",
        "reduce (range(1000) | range(1000)) as $i ([0]; . as $s | .[0] = $s)",
        "reduce (range(1000) | range(1000)) as $i ([0]; . as $s | .[0:] = [$s])",
        "reduce range(1000) as $i (7; . * .)",
        "[range(1000) | range(1000) | range(1000)]",
        "[range(1000) as $a | range(1000) as $b | range(1000) as $c | select(false)]",
        "[combinations(.k)]",
        "[range(1000) | $root.t | explode] | length",
        "[range(1000) | $root.t / \"\"] | length",
        "[range(1000) | $root.t | ascii_downcase] | length",
        "[range(1000) | [$root.t | match(\"\"; \"g\")]]",
        "reduce range(1000) as $i ($root.t; @html \"\\(.)<\\(.)\")",
        "reduce range(1000) as $i ([$root.t]; map(implode? // .) | join(\",\") | [., .])",
        "[.[]?, (reduce range(60) as $i ([1]; [., .]) | tobytes)]",
        "reduce range(60) as $i ([1]; [., .]) | flatten",
        "reduce range(1000) as $i ({}; . * {(\"\\($i)\"): $root}) * {a: .} | tojson",
        "try (\"x\" * .n) catch \"fine\"",
    ] {
        let result = eval(source, &big);
        assert!(result.is_err(), "{source}: {result:?}");
    }
}

#[test]
fn errors_hold_no_words_of_the_request() {
    let secret = json!({"text": "jalan rusak", "list": ["jalan rusak"]});
    for source in [
        ".text.x",
        ".text + 1",
        ".text | error",
        "error(.text)",
        "error({t: .text})",
        ".text | tonumber",
        ".text | strptime(\"%Y\")",
        ".text | fromdateiso8601",
        ".text | epoch",
        ".text | test(\"(\" + .)",
        ".list | implode",
        ".list | .[\"a\"]",
        ".text[0]",
        "-.text",
        ".text | keys",
        "break_ | .",
        "try error(.text) catch error(.)",
        ".text | fromjson",
    ] {
        if let Err(error) = eval(source, &secret) {
            assert!(!error.contains("jalan"), "{source}: {error}");
        } else {
            panic!("{source} should fail");
        }
    }
    assert_eq!(eval(".text.x", &secret), Err("cannot index a string with a string".to_owned()));
    assert_eq!(eval("{} + 1", &secret), Err("cannot calculate an object + a number".to_owned()));
}

#[test]
fn the_linter_learns_which_settings_a_filter_reads() {
    let facts = |source: &str| Filter::compile(source).unwrap().facts;
    let read = facts(".settings.a, $root.settings[\"b\"], secret_eq(.x; \"c\"), .form.settings.d, \"\\(.settings.e)\"");
    assert_eq!(read.settings.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "e"]);
}

#[test]
fn taking_one_item_of_a_list_is_seen() {
    for source in [
        ".body.entry[0]",
        ".body.entry[].changes[0].value",
        ".body.entry[-1]",
        ".body.entry | first",
        "first(.body.entry[])",
        ".body.entry | .[0]",
        ".body.entry[:1][]",
        "limit(1; .body[])",
        "if .a then .b[0] else .c[] end",
        ".a[] // .b[0]",
    ] {
        assert!(Filter::compile(source).unwrap().facts.takes_one, "{source}");
    }
    for source in [
        ".",
        ".body.entry[]",
        ".body.entry[]?.changes[]?.value",
        ".body[] | select(.tags[0] == \"x\")",
        ".body.entry[0].id as $id | .body.entry[] | {id: $id}",
        ".body[] | {m: ., c: .contacts[0]}",
    ] {
        assert!(!Filter::compile(source).unwrap().facts.takes_one, "{source}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_source_makes_the_compiler_panic(source in "\\PC{0,80}") {
        let _ = Filter::compile(&source);
    }

    #[test]
    fn no_mixture_of_words_makes_the_engine_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            ".", "..", ".a", "[", "]", "(", ")", "{", "}", "|", ",", "//", "?", ":", ";", "\"", "\\(", "$root", "as", "$x",
            "reduce", "foreach", "if", "then", "else", "end", "try", "catch", "and", "or", "not", "+", "-", "*", "/", "%", "1",
            "-1", "1e9", "range", "limit", "first", "map", "select", "tojson", "fromjson", "implode", "explode", "test", "length",
            "sort", "indices", "splits", "@base64d", "@text", "epoch", "digits", "b64d", "html_text", "=", "|=", "==", "<", "[]",
            "[0]", "[1:]", "label", "break", "reverse", "ltrimstr", "tostring", "getpath", "paths", "del", "walk", "join",
        ]), 1..14),
        glue in prop::sample::select(vec!["", " "]),
    ) {
        let source = words.join(glue);
        if let Ok(filter) = Filter::compile(&source) {
            let _ = filter.run_first(&json!({"a": ["x", 1, null, {"b": "2026-01-01"}], "b": "\u{e9}"}), &surroundings());
        }
    }
}
