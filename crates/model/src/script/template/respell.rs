//! Writes a template again with what it makes and reads metered.
//!
//! The engine counts instructions and not bytes, and a template cannot be watched while it runs. So
//! every operation that can make something large is written as a call of one of [`super::meter`]'s
//! functions. Lines stay where they were, for messages.

use std::fmt::Write as _;

use minijinja::machinery::ast::{
    BinOpKind, Call, CallArg, CompareOpKind, Expr, IfCond, Macro, Stmt, UnaryOpKind,
};
use minijinja::machinery::{Span, Token, parse, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as Item;
use minijinja::{Error, ErrorKind};

use super::meter::{CONCAT, KEPT, MADE, PLUS, READ, TIMES};
use common::limits;

/// Filters that look at no more than the ends of what they are given.
const CHEAP: [&str; 4] = ["default", "d", "first", "attr"];
/// Tests that ask only what kind of value it is.
const KINDS: [&str; 12] = [
    "defined",
    "undefined",
    "none",
    "boolean",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "mapping",
    "iterable",
];

/// The metered spelling of `source`.
pub(super) fn respell(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    write(source, syntax, false)
}

/// Names the same variables as `source`. The engine lists none of those that a slice is taken of.
pub(super) fn without_slices(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    write(source, syntax, true)
}

fn write(source: &str, syntax: &SyntaxConfig, lists_slices: bool) -> Result<String, Error> {
    check_tokens(tokenize(source, false, syntax.clone()))?;
    let template = parse(source, "template", syntax.clone())?;
    let mut writer = Writer {
        out: String::with_capacity(source.len() * 2),
        line: 1,
        refused: None,
        lists_slices,
    };
    writer.statement(&template);
    match writer.refused {
        Some(word) => Err(Error::new(
            ErrorKind::SyntaxError,
            format!("a template is alone, there is nothing to `{word}`"),
        )),
        None => Ok(writer.out),
    }
}

/// Whether a template can take long: by a statement, or by a number that it makes something of.
pub(super) fn can_loop(source: &str) -> bool {
    source.contains("${%") || source.contains(['*', '('])
}

/// Whether `source` is one expression.
pub(super) fn check_expression(source: &str) -> Result<(), Error> {
    check_tokens(tokenize(source, true, SyntaxConfig::default()))?;
    parse_expr(source).map(drop)
}

/// The parser, and what walks its trees, go one frame deeper for each operator of a chain.
fn check_tokens<'s>(
    tokens: impl Iterator<Item = Result<(Token<'s>, Span), Error>>,
) -> Result<(), Error> {
    let (mut operators, mut branches) = (0, 0);
    for token in tokens {
        match token?.0 {
            Token::VariableStart | Token::BlockStart => operators = 0,
            Token::Ident("elif") => branches += 1,
            Token::Ident("not" | "and" | "or" | "if" | "is" | "in") => operators += 1,
            Token::Ident(_)
            | Token::TemplateData(_)
            | Token::VariableEnd
            | Token::BlockEnd
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::Comma
            | Token::Colon
            | Token::Assign
            | Token::BracketClose
            | Token::ParenClose
            | Token::BraceClose => {}
            _ => operators += 1,
        }
        let most = limits::TEMPLATE_OPERATORS;
        if operators > most || branches > most {
            return Err(Error::new(
                ErrorKind::SyntaxError,
                format!("more than {most} operators or branches in one place"),
            ));
        }
    }
    Ok(())
}

struct Writer {
    out: String,
    line: u16,
    /// A statement that needs other templates.
    refused: Option<&'static str>,
    /// A slice is spelled as the list of its parts.
    lists_slices: bool,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Inside a tag a line may end anywhere.
    fn reach(&mut self, span: Span) {
        while self.line < span.start_line {
            self.out.push('\n');
            self.line += 1;
        }
    }

    fn open(&mut self, word: &str, span: Span) {
        self.put("${% ");
        self.reach(span);
        self.put(word);
        self.put(" ");
    }

    fn close(&mut self) {
        self.put(" %}");
    }

    fn end(&mut self, word: &str) {
        self.put("${% end");
        self.put(word);
        self.close();
    }

    fn body(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(node) => self.body(&node.children),
            Stmt::EmitExpr(node) => {
                self.put("${{ ");
                self.reach(node.span());
                self.expr(&node.expr);
                self.put(" }}");
            }
            // As an expression it passes the formatter, which counts.
            Stmt::EmitRaw(node) => {
                self.put("${{ ");
                self.literal(node.raw);
                self.put(" }}");
            }
            Stmt::ForLoop(node) => {
                self.open("for", node.span());
                self.target(&node.target);
                self.put(" in ");
                self.operand(&node.iter);
                if let Some(filter) = &node.filter_expr {
                    self.put(" if ");
                    self.operand(filter);
                }
                if node.recursive {
                    self.put(" recursive");
                }
                self.close();
                self.body(&node.body);
                if !node.else_body.is_empty() {
                    self.put("${% else %}");
                    self.body(&node.else_body);
                }
                self.end("for");
            }
            Stmt::IfCond(node) => {
                self.branch("if", node, node.span());
                self.end("if");
            }
            Stmt::WithBlock(node) => {
                self.open("with", node.span());
                for (index, (target, value)) in node.assignments.iter().enumerate() {
                    self.put(if index > 0 { ", " } else { "" });
                    self.target(target);
                    self.put(" = ");
                    self.expr(value);
                }
                self.close();
                self.body(&node.body);
                self.end("with");
            }
            Stmt::Set(node) => {
                self.open("set", node.span());
                self.target(&node.target);
                self.put(" = ");
                self.operand(&node.expr);
                if matches!(node.target, Expr::GetAttr(_)) {
                    self.filter(KEPT);
                }
                self.close();
            }
            Stmt::SetBlock(node) => {
                self.open("set", node.span());
                self.target(&node.target);
                if let Some(filter) = &node.filter {
                    self.put(" | ");
                    self.filters(filter);
                }
                self.close();
                self.body(&node.body);
                self.end("set");
            }
            Stmt::AutoEscape(node) => {
                self.open("autoescape", node.span());
                self.expr(&node.enabled);
                self.close();
                self.body(&node.body);
                self.end("autoescape");
            }
            Stmt::FilterBlock(node) => {
                self.open("filter", node.span());
                self.filters(&node.filter);
                self.close();
                self.body(&node.body);
                self.end("filter");
            }
            Stmt::Macro(node) => {
                self.open("macro", node.span());
                self.put(node.name);
                self.parameters(node);
                self.close();
                self.body(&node.body);
                self.end("macro");
            }
            Stmt::CallBlock(node) => {
                self.open("call", node.span());
                self.parameters(&node.macro_decl);
                self.put(" ");
                self.call(&node.call);
                self.close();
                self.body(&node.macro_decl.body);
                self.end("call");
            }
            Stmt::Block(_) => self.refused = Some("block"),
            Stmt::Import(_) | Stmt::FromImport(_) => self.refused = Some("import"),
            Stmt::Extends(_) => self.refused = Some("extends"),
            Stmt::Include(_) => self.refused = Some("include"),
            Stmt::Do(node) => {
                self.open("do", node.span());
                self.call(&node.call);
                self.close();
            }
        }
    }

    fn branch(&mut self, word: &str, node: &IfCond<'_>, span: Span) {
        self.open(word, span);
        self.expr(&node.expr);
        self.close();
        self.body(&node.true_body);
        match node.false_body.as_slice() {
            [] => {}
            [Stmt::IfCond(next)] => self.branch("elif", next, next.span()),
            other => {
                self.put("${% else %}");
                self.body(other);
            }
        }
    }

    fn parameters(&mut self, node: &Macro<'_>) {
        self.put("(");
        let required = node.args.len().saturating_sub(node.defaults.len());
        for (index, name) in node.args.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.target(name);
            if let Some(value) = index.checked_sub(required).map(|at| &node.defaults[at]) {
                self.put(" = ");
                self.expr(value);
            }
        }
        self.put(")");
    }

    fn target(&mut self, target: &Expr<'_>) {
        let items = match target {
            Expr::List(list) => &list.items,
            Expr::Tuple(tuple) => &tuple.items,
            Expr::GetAttr(node) => {
                self.target(&node.expr);
                self.put(".");
                return self.put(node.name);
            }
            Expr::Var(node) => return self.put(node.id),
            other => return self.expr(other),
        };
        self.put("(");
        for item in items {
            self.target(item);
            self.put(",");
        }
        self.put(")");
    }

    /// An expression that something may be appended to.
    fn operand(&mut self, expr: &Expr<'_>) {
        let bare = match expr {
            // `-1|abs` and `1.x` read otherwise than they are meant.
            Expr::Const(node) => node.value.as_str().is_some(),
            Expr::BinOp(node) => {
                matches!(node.op, BinOpKind::Add | BinOpKind::Concat | BinOpKind::Mul)
            }
            Expr::UnaryOp(_) | Expr::Compare(_) | Expr::IfExpr(_) | Expr::Test(_) => false,
            _ => true,
        };
        if bare {
            return self.expr(expr);
        }
        self.put("(");
        self.expr(expr);
        self.put(")");
    }

    /// An expression of which a part is taken, or which is called: behind the filter that many end with, a dot
    /// would belong to the filter's name.
    fn owner(&mut self, expr: &Expr<'_>) {
        let ends_with_filter = match expr {
            Expr::Filter(_)
            | Expr::Slice(_)
            | Expr::Call(_)
            | Expr::List(_)
            | Expr::Tuple(_)
            | Expr::Map(_) => true,
            Expr::BinOp(node) => matches!(node.op, BinOpKind::Mul),
            _ => false,
        };
        if !ends_with_filter {
            return self.operand(expr);
        }
        self.put("(");
        self.expr(expr);
        self.put(")");
    }

    fn filter(&mut self, name: &str) {
        self.put("|");
        self.put(name);
    }

    fn expr(&mut self, expr: &Expr<'_>) {
        self.reach(expr.span());
        match expr {
            Expr::Var(node) => self.put(node.id),
            Expr::Const(node) => self.constant(&node.value),
            Expr::UnaryOp(node) => {
                self.put(match node.op {
                    UnaryOpKind::Not => "not ",
                    UnaryOpKind::Neg => "-",
                });
                self.operand(&node.expr);
            }
            Expr::BinOp(node) => self.binary(node.op, &node.left, &node.right),
            Expr::Compare(node) => {
                self.read(&node.expr);
                for op in &node.ops {
                    self.put(match op.op {
                        CompareOpKind::Eq => " == ",
                        CompareOpKind::Ne => " != ",
                        CompareOpKind::Lt => " < ",
                        CompareOpKind::Lte => " <= ",
                        CompareOpKind::Gt => " > ",
                        CompareOpKind::Gte => " >= ",
                        CompareOpKind::In => " in ",
                        CompareOpKind::NotIn => " not in ",
                    });
                    self.read(&op.expr);
                }
            }
            Expr::IfExpr(node) => {
                self.operand(&node.true_expr);
                self.put(" if ");
                self.operand(&node.test_expr);
                if let Some(other) = &node.false_expr {
                    self.put(" else ");
                    self.operand(other);
                }
            }
            Expr::Filter(_) => self.filters(expr),
            Expr::Test(node) => {
                if KINDS.contains(&node.name) {
                    self.operand(&node.expr);
                } else {
                    self.read(&node.expr);
                }
                self.put(" is ");
                self.put(node.name);
                if !node.args.is_empty() {
                    self.arguments(&node.args);
                }
            }
            Expr::GetAttr(node) => {
                self.owner(&node.expr);
                self.put(".");
                self.put(node.name);
            }
            Expr::GetItem(node) => {
                self.owner(&node.expr);
                self.put("[");
                self.expr(&node.subscript_expr);
                self.put("]");
            }
            Expr::Slice(node) if self.lists_slices => {
                let bounds = [&node.start, &node.stop, &node.step].into_iter().flatten();
                self.put("[");
                for part in [&node.expr].into_iter().chain(bounds) {
                    self.operand(part);
                    self.put(",");
                }
                self.put("]");
            }
            Expr::Slice(node) => {
                self.owner(&node.expr);
                self.put("[");
                for (index, part) in [&node.start, &node.stop, &node.step].iter().enumerate() {
                    self.put(if index > 0 { ":" } else { "" });
                    if let Some(part) = part {
                        self.operand(part);
                    }
                }
                self.put("]");
                self.filter(MADE);
            }
            Expr::Call(node) => {
                self.call(node);
                self.filter(MADE);
            }
            Expr::List(node) => {
                self.put("[");
                self.list(&node.items);
                self.put("]");
                self.filter(MADE);
            }
            Expr::Tuple(node) => {
                self.put("(");
                self.list(&node.items);
                self.put(")");
                self.filter(MADE);
            }
            Expr::Map(node) => {
                self.put("{");
                for (key, value) in node.keys.iter().zip(&node.values) {
                    self.expr(key);
                    self.put(": ");
                    self.expr(value);
                    self.put(",");
                }
                self.put("}");
                self.filter(MADE);
            }
        }
    }

    fn list(&mut self, items: &[Expr<'_>]) {
        for item in items {
            self.expr(item);
            self.put(",");
        }
    }

    fn read(&mut self, expr: &Expr<'_>) {
        self.operand(expr);
        if !matches!(expr, Expr::Const(_)) {
            self.filter(READ);
        }
    }

    fn binary(&mut self, op: BinOpKind, left: &Expr<'_>, right: &Expr<'_>) {
        let sign = match op {
            BinOpKind::Concat | BinOpKind::Add => {
                let name = if matches!(op, BinOpKind::Add) {
                    PLUS
                } else {
                    CONCAT
                };
                self.put(name);
                self.put("(");
                self.chain(op, left);
                self.expr(right);
                return self.put(")");
            }
            BinOpKind::Mul => {
                self.operand(left);
                self.filter(TIMES);
                self.put("(");
                self.expr(right);
                return self.put(")");
            }
            BinOpKind::ScAnd => " and ",
            BinOpKind::ScOr => " or ",
            BinOpKind::Sub => " - ",
            BinOpKind::Div => " / ",
            BinOpKind::FloorDiv => " // ",
            BinOpKind::Rem => " % ",
            BinOpKind::Pow => " ** ",
            BinOpKind::Eq => " == ",
            BinOpKind::Ne => " != ",
            BinOpKind::Lt => " < ",
            BinOpKind::Lte => " <= ",
            BinOpKind::Gt => " > ",
            BinOpKind::Gte => " >= ",
            BinOpKind::In => " in ",
        };
        self.put("(");
        let compares = !matches!(
            op,
            BinOpKind::ScAnd
                | BinOpKind::ScOr
                | BinOpKind::Sub
                | BinOpKind::Div
                | BinOpKind::FloorDiv
                | BinOpKind::Rem
                | BinOpKind::Pow
        );
        for (index, side) in [left, right].into_iter().enumerate() {
            self.put(if index > 0 { sign } else { "" });
            match side {
                _ if compares => self.read(side),
                // A long chain stays flat: the parser bounds how deep parentheses go.
                Expr::BinOp(inner)
                    if index == 0
                        && matches!(op, BinOpKind::ScAnd | BinOpKind::ScOr)
                        && std::mem::discriminant(&inner.op) == std::mem::discriminant(&op) =>
                {
                    self.logical(inner.op, &inner.left, &inner.right, sign);
                }
                _ => self.operand(side),
            }
        }
        self.put(")");
    }

    fn logical(&mut self, op: BinOpKind, left: &Expr<'_>, right: &Expr<'_>, sign: &str) {
        match left {
            Expr::BinOp(inner)
                if std::mem::discriminant(&inner.op) == std::mem::discriminant(&op) =>
            {
                self.logical(inner.op, &inner.left, &inner.right, sign);
            }
            other => self.operand(other),
        }
        self.put(sign);
        self.operand(right);
    }

    /// The left sides of a chain of one operator, as arguments.
    fn chain(&mut self, op: BinOpKind, left: &Expr<'_>) {
        match left {
            Expr::BinOp(inner)
                if std::mem::discriminant(&inner.op) == std::mem::discriminant(&op) =>
            {
                self.chain(op, &inner.left);
                self.expr(&inner.right);
            }
            other => self.expr(other),
        }
        self.put(", ");
    }

    /// A filter with what it is applied to; a filter of a block is applied to the block.
    fn filters(&mut self, expr: &Expr<'_>) {
        let Expr::Filter(node) = expr else {
            return self.operand(expr);
        };
        if let Some(inner) = &node.expr {
            self.filters(inner);
            if !CHEAP.contains(&node.name) {
                self.filter(READ);
            }
            self.put("|");
        }
        self.put(node.name);
        if !node.args.is_empty() {
            self.arguments(&node.args);
        }
        self.filter(MADE);
    }

    fn call(&mut self, node: &Call<'_>) {
        self.owner(&node.expr);
        self.arguments(&node.args);
    }

    fn arguments(&mut self, args: &[CallArg<'_>]) {
        self.put("(");
        for (index, arg) in args.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            let value = match arg {
                CallArg::Pos(value) => value,
                CallArg::Kwarg(name, value) => {
                    self.put(name);
                    self.put("=");
                    value
                }
                CallArg::PosSplat(value) => {
                    self.put("*");
                    value
                }
                CallArg::KwargSplat(value) => {
                    self.put("**");
                    value
                }
            };
            self.operand(value);
        }
        self.put(")");
    }

    fn literal(&mut self, text: &str) {
        let quoted = serde_json::Value::String(text.to_owned()).to_string();
        self.put(&quoted);
    }

    fn constant(&mut self, value: &Item) {
        match value.as_str() {
            Some(text) => self.literal(text),
            None if value.is_none() => self.put("none"),
            None => match f64::try_from(value.clone()) {
                // `inf` is no literal; the largest number reads as it.
                Ok(number) if number.is_infinite() => self.put("1e999"),
                _ => write!(self.out, "{value}").expect("a String takes every write"),
            },
        }
    }
}
