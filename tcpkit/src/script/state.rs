//! The virtual machine that a script runs in: what it may do there, and the table `tcpkit`.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use log::Level;
use mlua::{Function, Lua, LuaOptions, LuaString, StdLib, Table, Value, chunk::ChunkMode};

use super::{
    budget::Exceeded,
    emit,
    errors::harmless,
    histogram::HistogramMemory,
    metrics::Metrics,
    printer::Printer,
    transactions::{FieldNames, unpack},
};
use crate::{messages, sink::localtime::TimeFormat};

/// What the script's functions share with the agent.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) printer: Printer,
    pub(super) metrics: Metrics,
    pub(super) field_names: Rc<RefCell<FieldNames>>,
    /// The script asked for the end, and with which exit code.
    pub(super) stop: Rc<Cell<Option<u8>>>,
    /// What the running call did too much of.
    pub(super) exceeded: Rc<RefCell<Option<Exceeded>>>,
}

/// A new virtual machine, and the functions of the prelude by which the agent calls the script.
/// `memory_bytes` bounds what the script may keep outside of it; 0 for no bound.
pub(super) fn prepare(
    shared: &Shared,
    folder: PathBuf,
    allows_all: bool,
    memory_bytes: usize,
) -> mlua::Result<(Lua, Table)> {
    let mut libraries = StdLib::COROUTINE
        | StdLib::TABLE
        | StdLib::STRING
        | StdLib::BIT
        | StdLib::MATH
        | StdLib::OS
        | StdLib::PACKAGE;
    if allows_all {
        libraries |= StdLib::IO;
    }
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    if allows_all {
        let package: Table = lua.globals().get("package")?;
        let path: LuaString = package.get("path")?;
        let mut with_folder = Vec::new();
        for file in ["?.lua", "?/init.lua"] {
            with_folder.extend(folder.join(file).into_os_string().into_encoded_bytes());
            with_folder.push(b';');
        }
        with_folder.extend_from_slice(&path.as_bytes());
        package.set("path", lua.create_string(with_folder)?)?;
    }
    let native = native(&lua, shared, folder, memory_bytes)?;
    let callers = lua
        .load(include_str!("prelude.lua"))
        .set_name("=tcpkit")
        .call::<Table>((native, allows_all))?;
    Ok((lua, callers))
}

/// What the prelude builds on.
fn native(lua: &Lua, shared: &Shared, folder: PathBuf, memory_bytes: usize) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.set("version", env!("CARGO_PKG_VERSION"))?;
    output(lua, shared, &native)?;
    ending(lua, shared, &native)?;
    reporting(lua, shared, &native, memory_bytes)?;
    let names = Rc::clone(&shared.field_names);
    native.set(
        "unpack",
        lua.create_function(move |lua, packed: LuaString| {
            unpack(lua, &packed, &mut names.borrow_mut())
        })?,
    )?;
    let time = RefCell::new((TimeFormat::utc(), Vec::new()));
    native.set(
        "time",
        lua.create_function(move |lua, (seconds, ns): (u64, u64)| {
            let (form, text) = &mut *time.borrow_mut();
            text.clear();
            form.push(text, seconds.saturating_mul(1_000_000_000).saturating_add(ns), 9);
            text.push(b'Z');
            lua.create_string(text)
        })?,
    )?;
    native.set(
        "find_module",
        lua.create_function(move |lua, name: LuaString| find_module(lua, &folder, &name))?,
    )?;
    native.set(
        "traceback",
        lua.create_function(|lua, (text, level): (Option<LuaString>, usize)| {
            let text = text.map(|text| text.to_string_lossy());
            lua.traceback(text.as_deref(), level)
        })?,
    )?;
    native.set(
        "address",
        lua.create_function(|_, it: Value| Ok(format!("function: {:p}", it.to_pointer())))?,
    )?;
    native.set(
        "set_function_text",
        lua.create_function(|lua, text: Function| {
            let metatable = lua.create_table()?;
            metatable.set("__tostring", text)?;
            lua.set_type_metatable::<Function>(Some(metatable));
            Ok(())
        })?,
    )?;
    Ok(native)
}

fn output(lua: &Lua, shared: &Shared, native: &Table) -> mlua::Result<()> {
    let printer = shared.printer.clone();
    native.set(
        "write",
        lua.create_function(move |_, text: LuaString| {
            printer.write(&text.as_bytes());
            Ok(())
        })?,
    )?;
    let printer = shared.printer.clone();
    native.set(
        "flush",
        lua.create_function(move |_, ()| {
            printer.flush();
            Ok(())
        })?,
    )?;
    native.set(
        "write_error",
        lua.create_function(|_, text: LuaString| {
            messages::write(&text.as_bytes());
            Ok(())
        })?,
    )?;
    let lazy = Rc::new(RefCell::new(Vec::new()));
    let metatables = Rc::clone(&lazy);
    native.set(
        "show_all",
        lua.create_function(move |_, (metatable, touch): (Table, Function)| {
            metatables.borrow_mut().push((metatable, touch));
            Ok(())
        })?,
    )?;
    let printer = shared.printer.clone();
    native.set(
        "emit",
        lua.create_function(move |_, table: Table| {
            let line = match emit::line(&table, &lazy.borrow()) {
                Ok(line) => line,
                Err(message) => return Ok(Some(message)),
            };
            printer.write(&line);
            Ok(None)
        })?,
    )
}

fn ending(lua: &Lua, shared: &Shared, native: &Table) -> mlua::Result<()> {
    let exceeded = Rc::clone(&shared.exceeded);
    native.set("exceeded", lua.create_function(move |_, ()| Ok(exceeded.borrow().is_some()))?)?;
    let stop = Rc::clone(&shared.stop);
    native.set(
        "stop",
        lua.create_function(move |_, ()| {
            stop.set(stop.get().or(Some(0)));
            Ok(())
        })?,
    )?;
    let stop = Rc::clone(&shared.stop);
    native.set(
        "exit",
        lua.create_function(move |_, code: Value| -> mlua::Result<()> {
            let code = match code {
                Value::Nil | Value::Boolean(true) => 0,
                // Of others the kernel keeps the last byte.
                Value::Integer(code) => u8::try_from(code & 0xff).unwrap_or(1),
                Value::Number(code) => u8::try_from(code as i64 & 0xff).unwrap_or(1),
                _ => 1,
            };
            stop.set(Some(code));
            // The rest of the script is not to run; nobody is told of this error.
            Err(mlua::Error::external(Exit))
        })?,
    )
}

/// The script ends itself by `os.exit`.
#[derive(Debug, thiserror::Error)]
#[error("os.exit")]
pub(super) struct Exit;

fn reporting(lua: &Lua, shared: &Shared, native: &Table, memory_bytes: usize) -> mlua::Result<()> {
    let memory = HistogramMemory::new(memory_bytes);
    native.set("histogram", lua.create_function(move |lua, ()| memory.histogram(lua))?)?;
    let metrics = shared.metrics.clone();
    native.set(
        "metric",
        lua.create_function(move |_, (name, labels, value): (String, Option<Table>, f64)| {
            let mut texts = Vec::new();
            for pair in labels.iter().flat_map(Table::pairs) {
                let (label, value): (String, String) = pair?;
                texts.push((label, value));
            }
            metrics.set(&name, texts, value).map_err(mlua::Error::runtime)
        })?,
    )?;
    native.set(
        "log",
        lua.create_function(|_, (text, level): (LuaString, Option<String>)| {
            let level = match level.as_deref() {
                None | Some("warn") => Level::Warn,
                Some("error") => Level::Error,
                Some("info") => Level::Info,
                Some("debug") => Level::Debug,
                Some(other) => {
                    return Ok(Some(format!(
                        "tcpkit.log knows the levels error, warn, info and debug, not `{other}`"
                    )));
                }
            };
            log::log!(target: "script", level, "{}", harmless(&text.to_string_lossy()));
            Ok(None)
        })?,
    )
}

/// A module for `require`: a file beside the script. Its name may have folders in it, by dots.
///
/// The chunk and its file; false and a message where the file is no Lua; nothing and a message where there
/// is none.
fn find_module(lua: &Lua, folder: &Path, name: &LuaString) -> mlua::Result<(Value, String)> {
    let name = name.to_string_lossy();
    let is_part = |part: &str| !part.is_empty() && !part.contains(['/', '\\', '\0']);
    if !name.split('.').all(is_part) {
        let text = format!("\n\t'{name}' is no name of a module: words with dots between them");
        return Ok((Value::Nil, text));
    }
    let base = folder.join(name.replace('.', "/"));
    let mut missing = String::new();
    for path in [base.with_extension("lua"), base.join("init.lua")] {
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) => {
                missing.push_str(&format!("\n\tno file '{}' ({error})", path.display()));
                continue;
            }
        };
        let shown = path.display().to_string();
        let chunk = lua
            .load(without_shebang(&text))
            .set_name(format!("@{shown}"))
            .set_mode(ChunkMode::Text)
            .into_function();
        return Ok(match chunk {
            Ok(chunk) => (Value::Function(chunk), shown),
            Err(mlua::Error::SyntaxError { message, .. }) => (Value::Boolean(false), message),
            Err(error) => return Err(error),
        });
    }
    Ok((Value::Nil, missing))
}

/// A first line that begins with `#` is for the shell; its line break stays, so that lines keep their
/// numbers.
pub(super) fn without_shebang(text: &[u8]) -> &[u8] {
    // Editors on other systems begin files with a mark of their encoding.
    match text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) {
        [b'#', ..] => {
            let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
            text.get(end..).unwrap_or(&[])
        }
        text => text,
    }
}
