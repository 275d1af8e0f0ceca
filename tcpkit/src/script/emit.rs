//! A table of a script as a line of JSON (RFC 8259).

use mlua::{Function, Table, Value};

/// How deep tables may lie in tables.
const MAX_DEPTH: usize = 32;

/// The longest line, in bytes: tables that are shared by many could make it endless.
const MAX_BYTES: usize = 1 << 20;

/// The line, with its end. Keys are sorted; what is no UTF-8 is replaced. Tables with one of the `lazy`
/// metatables have their fields made first.
///
/// # Errors
/// A value that JSON has no form for, tables within themselves, or too much of everything.
pub(super) fn line(table: &Table, lazy: &[Lazy]) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    push_table(&mut text, table, lazy, &mut Vec::new())?;
    text.push(b'\n');
    Ok(text)
}

/// A metatable of tables some of whose fields are made when they are touched, and what touches them all.
pub(super) type Lazy = (Table, Function);

fn push_table(
    text: &mut Vec<u8>,
    table: &Table,
    lazy: &[Lazy],
    path: &mut Vec<String>,
) -> Result<(), String> {
    if path.len() > MAX_DEPTH {
        return Err(format!("tcpkit.emit: tables lie too deep in each other at {}", shown(path)));
    }
    let len = table.raw_len();
    let pairs = pairs(table, lazy)?;
    if len > 0 && pairs.len() == len {
        text.push(b'[');
        for at in 1..=len {
            if at > 1 {
                text.push(b',');
            }
            let value: Value = table.raw_get(at).map_err(|error| error.to_string())?;
            path.push(at.to_string());
            push_value(text, &value, lazy, path)?;
            path.pop();
        }
        text.push(b']');
        return Ok(());
    }
    let mut members = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let key = match &key {
            Value::String(key) if key.as_bytes().len() > MAX_BYTES => return Err(too_much()),
            Value::String(key) => key.to_string_lossy(),
            Value::Integer(key) => key.to_string(),
            Value::Number(key) => key.to_string(),
            other => {
                return Err(format!(
                    "tcpkit.emit: a {} cannot be a key, at {}",
                    other.type_name(),
                    shown(path)
                ));
            }
        };
        members.push((key, value));
    }
    members.sort_by(|one, other| one.0.cmp(&other.0));
    text.push(b'{');
    for (position, (key, value)) in members.into_iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        push_string(text, &key)?;
        text.push(b':');
        path.push(key);
        push_value(text, &value, lazy, path)?;
        path.pop();
    }
    text.push(b'}');
    Ok(())
}

fn pairs(table: &Table, lazy: &[Lazy]) -> Result<Vec<(Value, Value)>, String> {
    if let Some(metatable) = table.metatable()
        && let Some((_, touch)) = lazy.iter().find(|(known, _)| *known == metatable)
    {
        touch.call::<()>(table).map_err(|error| error.to_string())?;
    }
    let mut pairs = Vec::new();
    for pair in table.pairs() {
        // Each takes some bytes at least.
        if pairs.len() > MAX_BYTES / 4 {
            return Err(too_much());
        }
        pairs.push(pair.map_err(|error| error.to_string())?);
    }
    Ok(pairs)
}

fn too_much() -> String {
    format!("tcpkit.emit: more than {MAX_BYTES} bytes; is a table in itself?")
}

fn push_value(
    text: &mut Vec<u8>,
    value: &Value,
    lazy: &[Lazy],
    path: &mut Vec<String>,
) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(too_much());
    }
    match value {
        Value::Nil => text.extend_from_slice(b"null"),
        Value::Boolean(true) => text.extend_from_slice(b"true"),
        Value::Boolean(false) => text.extend_from_slice(b"false"),
        Value::Integer(number) => text.extend_from_slice(number.to_string().as_bytes()),
        // JSON has no word for what is no number.
        Value::Number(number) if !number.is_finite() => text.extend_from_slice(b"null"),
        Value::Number(number) => {
            serde_json::to_writer(text, number).map_err(|error| error.to_string())?;
        }
        Value::String(string) if string.as_bytes().len() > MAX_BYTES => return Err(too_much()),
        Value::String(string) => push_string(text, &string.to_string_lossy())?,
        Value::Table(table) => push_table(text, table, lazy, path)?,
        other => {
            return Err(format!(
                "tcpkit.emit: JSON has no form for a {}, at {}",
                other.type_name(),
                shown(path)
            ));
        }
    }
    Ok(())
}

fn push_string(text: &mut Vec<u8>, string: &str) -> Result<(), String> {
    serde_json::to_writer(&mut *text, string).map_err(|error| error.to_string())?;
    // Escapes take more.
    if text.len() > MAX_BYTES { Err(too_much()) } else { Ok(()) }
}

fn shown(path: &[String]) -> String {
    if path.is_empty() { "the top".to_owned() } else { path.join(".") }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    fn emit(lua: &str) -> Result<String, String> {
        let state = Lua::new();
        let table = state.load(lua).eval::<Table>().expect("a table");
        line(&table, &[]).map(|line| String::from_utf8(line).expect("UTF-8"))
    }

    #[test]
    fn tables_become_objects_and_arrays() {
        for (table, expect) in [
            ("{}", "{}\n"),
            ("{1, 'a', true, {x = 1}}", "[1,\"a\",true,{\"x\":1}]\n"),
            (
                "{b = 1.5, a = -2, c = 2^53, ['a b'] = 'q\"'}",
                "{\"a\":-2,\"a b\":\"q\\\"\",\"b\":1.5,\"c\":9007199254740992}\n",
            ),
            ("{[1] = 1, [3] = 3}", "{\"1\":1,\"3\":3}\n"),
            ("{n = 0/0, i = 1/0}", "{\"i\":null,\"n\":null}\n"),
            ("{s = 'a\\255b\\n'}", "{\"s\":\"a\u{fffd}b\\n\"}\n"),
        ] {
            assert_eq!(emit(table).as_deref(), Ok(expect), "{table}");
        }
    }

    #[test]
    fn what_json_has_no_form_for_is_named() {
        let error = emit("{a = {b = print}}").expect_err("a function");
        assert_eq!(error, "tcpkit.emit: JSON has no form for a function, at a.b");
        let error = emit("{[{}] = 1}").expect_err("a key");
        assert_eq!(error, "tcpkit.emit: a table cannot be a key, at the top");
        let itself = "(function() local t = {} t.t = t return t end)()";
        assert!(emit(itself).expect_err("endless").contains("too deep"));
        let doubling = "(function() local t = {} for _ = 1, 31 do t = {t, t} end return t end)()";
        assert!(emit(doubling).expect_err("endless").contains("more than"));
        for much in ["{s = ('\\0'):rep(300000)}", "{[('x'):rep(2e6)] = 1}", "{('x'):rep(2e6)}"] {
            assert!(emit(much).expect_err("too long").contains("more than"), "{much}");
        }
        let many = "(function() local t = {} for i = 1, 600000 do t[-i] = 1 end return t end)()";
        assert!(emit(many).expect_err("too many").contains("more than"));
    }
}
