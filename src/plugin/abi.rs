//! What Fluent Bit calls, and what it hands over.

#![allow(unsafe_code, reason = "an interface of C")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    mem::offset_of,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::OnceLock,
};

use super::{Verdict, instance::Instance, logs, options::Options};

const OUTPUT_PLUGIN: c_int = 2;
const PROXY_GO: c_int = 11;

/// Lines that a flush prints at most, so that it does not become long by that.
const LINES_AT_ONCE: usize = 32;

/// `struct flb_plugin_proxy_def`, as far as all versions have it.
#[repr(C)]
struct ProxyDef {
    kind: c_int,
    proxy: c_int,
    flags: c_int,
    name: *const c_char,
    description: *const c_char,
}

/// `struct flbgo_output_plugin`, as far as it is used.
#[repr(C)]
struct OutputPlugin {
    name: *const c_char,
    api: *const Api,
    output: *mut c_void,
    context: *mut ProxyContext,
}

/// `struct flb_plugin_proxy_context`.
#[repr(C)]
struct ProxyContext {
    remote: *mut c_void,
    proxy: *mut c_void,
}

/// `struct flb_api`, of which older versions have only the beginning.
#[repr(C)]
struct Api {
    output_get_property: Option<GetProperty>,
    others: [*const c_void; 3],
    log_print: Option<LogPrint>,
}

type GetProperty = unsafe extern "C" fn(*const c_char, *mut c_void) -> *const c_char;
type LogPrint = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, ...);

const _: () = {
    assert!(offset_of!(ProxyDef, flags) == 8);
    assert!(offset_of!(ProxyDef, name) == 16);
    assert!(offset_of!(ProxyDef, description) == 24);
    assert!(size_of::<ProxyDef>() == 32);
    assert!(offset_of!(OutputPlugin, api) == 8);
    assert!(offset_of!(OutputPlugin, output) == 16);
    assert!(offset_of!(OutputPlugin, context) == 24);
    assert!(offset_of!(ProxyContext, remote) == 0);
    assert!(offset_of!(Api, log_print) == 32);
};

/// Fluent Bit's logger. It is one function of the process, whichever instance asks.
static LOG_PRINT: OnceLock<LogPrint> = OnceLock::new();

/// Says what this is. Called before Fluent Bit becomes a daemon, so that no thread begins here.
///
/// # Safety
///
/// `def` must point to a `flb_plugin_proxy_def` of any version.
// SAFETY: nothing else in the process has this name, since it is looked up in this library only.
#[unsafe(no_mangle)]
unsafe extern "C" fn FLBPluginRegister(def: *mut ProxyDef) -> c_int {
    let registered = catch_unwind(|| {
        logs::init();
        // SAFETY: what is not null is valid for the fields that all versions have, and nobody else
        // has it during the call.
        let Some(def) = (unsafe { def.as_mut() }) else { return -1 };
        def.kind = OUTPUT_PLUGIN;
        def.proxy = PROXY_GO;
        def.flags = 0;
        // Both live as long as the library, which is never unloaded.
        def.name = c"profile_http".as_ptr();
        def.description = c"Streams customer profiles to an HTTP endpoint".as_ptr();
        0
    });
    registered.unwrap_or(-1)
}

/// Starts the sink of one output. Gives 1 when it runs, else -1.
///
/// # Safety
///
/// `plugin` must point to a `flbgo_output_plugin` whose API, output and context are those of the
/// output.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn FLBPluginInit(plugin: *mut OutputPlugin) -> c_int {
    let started = catch_unwind(|| {
        // SAFETY: the caller vouches for it; the fields are those of this output only during the
        // call, so nothing of it is kept.
        let Some(plugin) = (unsafe { plugin.as_ref() }) else { return -1 };
        // SAFETY: the API outlives the call, and has at least the functions up to `log_print`.
        let Some(api) = (unsafe { plugin.api.as_ref() }) else { return -1 };
        if let Some(print) = api.log_print {
            let _ = LOG_PRINT.set(print);
        }
        let output = plugin.output;
        let options = Options::read(|name| match api.output_get_property {
            // SAFETY: the function is called with the output that came with it.
            Some(get) => unsafe { property(get, name, output) },
            None => Ok(None),
        });
        match (options.and_then(Instance::start), plugin.context.is_null()) {
            (Ok(instance), false) => {
                // SAFETY: it is not null and belongs to this output.
                unsafe { (*plugin.context).remote = Box::into_raw(Box::new(instance)).cast() };
                1
            }
            (Ok(instance), true) => {
                instance.stop();
                -1
            }
            (Err(error), _) => {
                logs::error(&error);
                -1
            }
        }
    });
    print_lines(usize::MAX);
    started.unwrap_or(-1)
}

/// Takes a chunk. Runs on a stack of 24 KiB without guard, on several threads at once.
///
/// # Safety
///
/// `context` must be null or what [`FLBPluginInit`] left in the context, `data` valid for `length`
/// bytes and `tag` null or a text that ends with a null byte, both during the call.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn FLBPluginFlushCtx(
    context: *mut c_void,
    data: *const c_void,
    length: usize,
    tag: *const c_char,
) -> c_int {
    let verdict = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: it is null or an instance, which lives until `FLBPluginExitCtx`; that is called
        // when no flush runs any more. Instances are made to be shared between threads.
        let Some(instance) = (unsafe { context.cast::<Instance>().as_ref() }) else {
            return Verdict::Retry;
        };
        if data.is_null() {
            return Verdict::Ok;
        }
        let tag = if tag.is_null() {
            &[][..]
        } else {
            // SAFETY: the caller vouches for it; the text is only used within the call.
            unsafe { CStr::from_ptr(tag) }.to_bytes()
        };
        // SAFETY: the caller vouches for it; the bytes are only used within the call.
        instance.flush(tag, unsafe { slice::from_raw_parts(data.cast(), length) })
    }));
    print_lines(LINES_AT_ONCE);
    verdict.unwrap_or(Verdict::Retry) as c_int
}

/// Stops the sink of one output, after its last flush. Also called for outputs that were never
/// started, with null.
///
/// # Safety
///
/// `context` must be null or what [`FLBPluginInit`] left in the context, and is not used again.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn FLBPluginExitCtx(context: *mut c_void) -> c_int {
    let _ = catch_unwind(|| {
        if !context.is_null() {
            // SAFETY: it came from a box, and is given back once.
            let instance = unsafe { Box::from_raw(context.cast::<Instance>()) };
            instance.stop();
        }
    });
    print_lines(usize::MAX);
    1
}

/// Does nothing: what there is belongs to outputs, and at a reload the next registration comes
/// before this.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn FLBPluginUnregister(_def: *mut ProxyDef) {}

/// The value of an option.
///
/// # Safety
///
/// `get` must be Fluent Bit's, called for `output`.
unsafe fn property(
    get: GetProperty,
    name: &str,
    output: *mut c_void,
) -> Result<Option<String>, String> {
    let key = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the key ends with a null byte; the caller vouches for the rest.
    let value = unsafe { get(key.as_ptr(), output) };
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: what is not null is text that ends with a null byte and belongs to the output; it is
    // copied here.
    let value = unsafe { CStr::from_ptr(value) };
    let text = value.to_str().map_err(|_| format!("`{name}` is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

/// Prints lines that wait, through Fluent Bit.
fn print_lines(most: usize) {
    let Some(print) = LOG_PRINT.get() else { return };
    for _ in 0..most {
        let Some(line) = logs::take() else { return };
        // SAFETY: this is a thread of Fluent Bit, format and text end with a null byte, and the
        // one argument is what the format says. Without a file no place is printed.
        unsafe { print(line.level, std::ptr::null(), 0, c"%s".as_ptr(), line.text.as_ptr()) };
    }
}
