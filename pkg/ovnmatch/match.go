// SPDX-License-Identifier: Apache-2.0

// Package ovnmatch checks expressions of OVN's match language: the column match of ACLs, router policies and QoS rules
// (ovn-nb(5)), which is that of logical flows (ovn-sb(5), table Logical_Flow, column match).
//
// The database stores any text. ovn-northd builds logical flows from it, and ovn-controller ignores a flow that it
// cannot parse: the rule has no effect, and only a log on each node says so. This package accepts what OVN 25.03
// accepts, except for expressions that OVN accepts and understands in another way than they are written:
//
//   - a constant that does not fit the selected bits, as in tcp.flags[0..1] == 4,
//   - an address of another kind than the field, as in ip6.src == 10.0.0.1,
//   - an ordered comparison with an address set, as in ip4.src < $set,
//   - a mask for a field that Open vSwitch cannot mask, as in ip.proto == 0x6/0xf,
//   - a comment that goes on after the end of the expression.
//
// Whether an address set, a port group or a port exists is not checked: they may be created later. A template variable,
// as in ip4.dst == ^vip, is accepted in place of a constant.
package ovnmatch

import "slices"

// maxDepth is how deep parentheses may be nested: OVN allows 100, and ovn-northd adds some.
const maxDepth = 90

// Use is a field in an expression.
type Use struct {
	Field  string
	Column int // of its first character, from 1
}

// Check returns why OVN would not accept an expression, or nil.
func Check(match string) error {
	_, err := Parse(match)
	return err
}

// Parse checks an expression and returns its fields in the order of the text. An error is an [*Error].
func Parse(match string) ([]Use, error) {
	p := &parser{lexer: lexer{input: match}}
	err := p.advance()
	if err == nil {
		err = p.expression()
	}
	if err == nil && p.now.kind != end {
		err = p.unexpected("&&, || or the end")
	}
	if err != nil {
		return nil, err
	}
	return p.uses, nil
}

// parser is a recursive descent parser.
type parser struct {
	lexer lexer
	now   token
	depth int
	not   bool // the parser is inside an odd number of negations
	uses  []Use
}

func (p *parser) advance() *Error {
	var err *Error
	p.now, err = p.lexer.next()
	return err
}

// match skips a token of a kind, and reports whether there was one.
func (p *parser) match(k kind) (bool, *Error) {
	if p.now.kind != k {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(k kind) *Error {
	if p.now.kind != k {
		return p.unexpected(string(k))
	}
	return p.advance()
}

func (p *parser) unexpected(wanted string) *Error {
	if p.now.kind == end {
		return p.errorf(p.now, "the expression ends; expected %s", wanted)
	}
	return p.errorf(p.now, "%q: expected %s", p.now.text, wanted)
}

func (p *parser) errorf(at token, message string, args ...any) *Error {
	return p.lexer.errorf(at.at, message, args...)
}

// expression is terms joined by && or by ||.
func (p *parser) expression() *Error {
	if err := p.term(); err != nil {
		return err
	}
	operator := p.now.kind
	for p.now.kind == "&&" || p.now.kind == "||" {
		if p.now.kind != operator {
			return p.errorf(p.now, "&& and || must be parenthesized when used together")
		}
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.term(); err != nil {
			return err
		}
	}
	return nil
}

// term is a comparison, a field, a function or an expression in parentheses, possibly negated.
func (p *parser) term() *Error {
	start := p.now
	negated, err := p.match("!")
	if err != nil {
		return err
	}
	p.not = p.not != negated
	atomic, err := p.primary()
	p.not = p.not != negated
	if err == nil && negated && !atomic {
		return p.errorf(start, "the operand of ! needs parentheses")
	}
	return err
}

// primary is a term without its negation. It is atomic if ! may stand before it.
func (p *parser) primary() (atomic bool, err *Error) {
	switch p.now.kind {
	case "(":
		return true, p.parenthesized()
	case name:
		if p.now.text == resident {
			return true, p.chassisResident()
		}
		return p.comparisonOfField()
	default:
		return p.comparisonOfConstant()
	}
}

func (p *parser) parenthesized() *Error {
	if p.depth++; p.depth > maxDepth {
		return p.errorf(p.now, "parentheses are nested more than %d deep", maxDepth)
	}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.expression(); err != nil {
		return err
	}
	p.depth--
	return p.expect(")")
}

// resident is the only function: whether the chassis has a port.
const resident = "is_chassis_resident"

func (p *parser) chassisResident() *Error {
	for _, k := range []kind{name, "(", text, ")"} {
		if err := p.expect(k); err != nil {
			return err
		}
	}
	return nil
}

// comparisonOfField is "field", or "field operator constant".
func (p *parser) comparisonOfField() (atomic bool, err *Error) {
	f, err := p.field()
	if err != nil {
		return false, err
	}
	if !p.relational() {
		switch {
		case f.symbol.width == 0:
			return false, p.unexpected("== after " + f.token.text)
		case f.bits > 1 && !p.not:
			return false, p.errorf(f.token, "%s has %d bits: compare it, for example %s != 0", f.token.text, f.bits, f.token.text)
		}
		return true, p.compare(f, "!=", constants{})
	}
	operator := p.now.kind
	if err := p.advance(); err != nil {
		return false, err
	}
	c, err := p.constants()
	if err != nil {
		return false, err
	}
	return false, p.compare(f, operator, c)
}

// comparisonOfConstant is "constant operator field", "constant operator field operator constant", "0" or "1".
func (p *parser) comparisonOfConstant() (atomic bool, err *Error) {
	low, err := p.constants()
	if err != nil {
		return false, err
	}
	if !p.relational() {
		if low.isBoolean() {
			return true, nil
		}
		return false, p.unexpected("a comparison")
	}
	first := p.now.kind
	if err := p.advance(); err != nil {
		return false, err
	}
	f, err := p.field()
	if err != nil {
		return false, err
	}
	if err := p.compare(f, turned(first), low); err != nil || !p.relational() {
		return false, err
	}
	second := p.now
	if first[0] != second.kind[0] || first[0] != '<' && first[0] != '>' {
		return false, p.errorf(second, "a range has the form 1 < field < 9 or 9 > field > 1")
	}
	if err := p.advance(); err != nil {
		return false, err
	}
	high, err := p.constants()
	if err != nil {
		return false, err
	}
	return false, p.compare(f, second.kind, high)
}

// turned is the operator of a comparison with its sides exchanged.
func turned(operator kind) kind {
	switch operator[0] {
	case '<':
		return ">" + operator[1:]
	case '>':
		return "<" + operator[1:]
	default:
		return operator
	}
}

func (p *parser) relational() bool {
	return slices.Contains([]kind{"==", "!=", "<", "<=", ">", ">="}, p.now.kind)
}
