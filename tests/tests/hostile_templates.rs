//! Chat templates that try to take all memory: each stops at a limit, or ends, and the process stays small.
//!
//! A program of its own: its allocator keeps the peak.

use hewn_engine::chat::{ChatTemplate, Message, RenderInput, TemplateError};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(by: usize) {
    PEAK.fetch_max(NOW.fetch_add(by, Ordering::Relaxed) + by, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged; the counters do not touch memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there while one is copied to the other.
        grow(size);
        // SAFETY: the caller's promise.
        let new = unsafe { System.realloc(at, layout, size) };
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        new
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that rendering may take at its peak. A value may have 64 MiB; several are alive at a time.
const MOST: usize = 320 << 20;

/// `s`: 2 MiB of text, small enough to leave steps for what is done with it.
const LARGE: &str = "{% set s = 'x' * 2097152 %}";

fn render(source: &str) -> Result<String, TemplateError> {
    let messages = [Message::new("user", "hi"), Message::new("assistant", "yes")];
    ChatTemplate::new(source)?.render(&RenderInput { messages: &messages, ..RenderInput::default() })
}

#[test]
fn memory_is_bounded() {
    // A trillion bytes, were it text.
    let list = "[s, s, s, s, s, s, s, s] * 100000";
    let uses = [
        // Text of containers, in every way.
        "{{ L ~ '' }}",
        "{{ '' ~ L }}",
        "{{ (L) ~ (L) }}",
        "{{ {'a': L} ~ 'b' }}",
        "{{ L }}",
        "{{ (L)|string|length }}",
        "{{ (L)|upper|length }}",
        "{{ (L)|join|length }}",
        "{{ (L)|join(L)|length }}",
        "{{ 'a,b'|replace(',', L)|length }}",
        "{{ 'a'|trim(L) }}",
        "{{ (L)|escape|length }}",
        "{{ (L)|safe|length }}",
        "{{ (L)|pprint|length }}",
        "{{ (L)|tojson|length }}",
        "{{ (L)|title|length }}",
        "{{ (L)|indent|length }}",
        "{{ (L)|map('upper')|list|length }}",
        "{{ [L]|map('string')|list|length }}",
        "{{ ['a', 'b']|map('replace', 'a', L)|list|length }}",
        "{{ (L)|sum(start='')|length }}",
        "{{ ([['a']] * 500000)|sum(start=[]) }}",
        "{{ ''.join(L)|length }}",
        "{{ 'a'.replace('a', L) }}",
        "{{ ((L) in 'a') }}",
        "{{ 'a' is startingwith(L) }}",
        "{{ (L) is startingwith('a') }}",
        "{{ (L)|select('startingwith', 'a')|list }}",
        "{{ raise_exception(L) }}",
        "{{ strftime_now(L) }}",
        "{{ strftime_now('%c' * 5000000) }}",
        "{{ dict(a=L) ~ '' }}",
        "{{ namespace(a=L) ~ '' }}",
        "{% for x in [L, L] %}{{ x ~ '' }}{% endfor %}",
        "{% macro f(x) %}{{ x ~ '' }}{% endmacro %}{{ f(L) }}",
        "{% macro f(x=L) %}{{ x ~ '' }}{% endmacro %}{{ f() }}",
        "{% with x = L %}{{ x ~ '' }}{% endwith %}",
        "{% set x %}{{ L }}{% endset %}",
        "{{ debug(L) }}",
        // Formats.
        "{{ '%999999999999d'|format(1) }}",
        "{{ '%.999999999f'|format(1.5) }}",
        "{{ ('%s' * 100000)|format(L) }}",
        "{{ ('%(a)s' * 100000)|format(a=s)|length }}",
        "{{ '{:>99999999999}'.format('a') }}",
        "{{ ('{0}' * 100000).format(s)|length }}",
        "{{ ('{a}' * 100000).format(a=s)|length }}",
        "{{ ['%(a)s' * 100000]|map('format', a=s)|list|length }}",
        // Repetition, joining, replacing, indenting.
        "{{ 'x' * 1000000000 }}",
        "{{ s * 1000 }}",
        "{{ (s, s) * 100000000 }}",
        "{{ s.replace('x', s) }}",
        "{{ s|replace('x', s) }}",
        "{{ s.join(range(1000)) }}",
        "{{ range(1000)|join(s) }}",
        "{{ ('x\n' * 1000)|indent(1000000000) }}",
        "{{ [1]|tojson(indent=1000000000) }}",
        // Many small parts.
        "{{ s.split('x')|length }}",
        "{{ s|split('x')|length }}",
        "{{ ('x\n' * 1500000).splitlines()|length }}",
        "{{ ('x\n' * 1500000)|lines|length }}",
        "{{ ('x ' * 1500000)|split|length }}",
        "{{ s|list|length }}",
        "{{ range(1000000000)|list }}",
        "{{ ([1] * REPEAT)|list|length }}",
        "{{ ([1] * REPEAT) == ([1] * REPEAT) }}",
        "{{ ([1] * REPEAT) is eq([1] * REPEAT) }}",
        "{{ ([1] * REPEAT)|sort|length }}",
        "{{ [[1] * REPEAT, [1] * REPEAT]|sort|length }}",
        "{{ [[1] * REPEAT]|unique|list|length }}",
        "{{ {([1] * REPEAT): 1} }}",
        "{{ {}[[1] * REPEAT] }}",
        "{{ {}.get([1] * REPEAT) }}",
        "{{ ([1] * REPEAT).count(1) }}",
        "{{ ([1] * REPEAT)|batch(2, [1] * REPEAT)|list|length }}",
        "{{ ([1] * REPEAT)|zip([1] * REPEAT)|list|length }}",
    ];
    let before = NOW.load(Ordering::Relaxed);
    let mut worst = (0, "");
    for template in uses {
        PEAK.store(before, Ordering::Relaxed);
        let result = render(&format!("{LARGE}{}", template.replace('L', list).replace("REPEAT", "9000000")));
        let took = PEAK.load(Ordering::Relaxed) - before;
        worst = worst.max((took, template));
        let text = result.as_ref().map_or(0, String::len);
        println!("{:5} MiB {:8} {template} {:?}", took >> 20, text, result.as_ref().err());
        assert!(result.is_err() && took < MOST, "{template} took {} MiB", took >> 20);
    }
    println!("most: {} MiB, {}", worst.0 >> 20, worst.1);
}
