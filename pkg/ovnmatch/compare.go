// SPDX-License-Identifier: Apache-2.0

package ovnmatch

import (
	"math"
	"math/big"
)

// field is a field, or some bits of it.
type field struct {
	token  token
	symbol symbol
	bits   int
	part   bool // not all bits
}

// field reads "name", "name[bit]" or "name[low..high]".
func (p *parser) field() (field, *Error) {
	f := field{token: p.now}
	if p.now.kind != name {
		return f, p.unexpected("a field")
	}
	var known bool
	if f.symbol, known = symbols[p.now.text]; !known {
		return f, p.errorf(p.now, "unknown field %s", p.now.text)
	}
	f.bits = f.symbol.width
	p.uses = append(p.uses, Use{Field: f.token.text, Column: p.lexer.column(f.token.at)})
	if err := p.advance(); err != nil {
		return f, err
	}
	if selects, err := p.match("["); err != nil || !selects {
		return f, err
	}
	return f, p.selectBits(&f)
}

// selectBits reads what follows "[".
func (p *parser) selectBits(f *field) *Error {
	if f.symbol.width == 0 {
		return p.errorf(f.token, "%s is a string and has no bits", f.token.text)
	}
	low, err := p.bit()
	if err != nil {
		return err
	}
	high := low
	isRange, err := p.match("..")
	if err == nil && isRange {
		high, err = p.bit()
	}
	if err == nil {
		err = p.expect("]")
	}
	if err != nil {
		return err
	}
	f.bits, f.part = high-low+1, high-low+1 < f.symbol.width
	switch {
	case low > high:
		return p.errorf(f.token, "bits %d to %d: the first is greater than the last", low, high)
	case high >= f.symbol.width:
		return p.errorf(f.token, "%s has %d bits, there is no bit %d", f.token.text, f.symbol.width, high)
	case f.symbol.level == nominal && f.part:
		return p.errorf(f.token, "bits of %s cannot be selected", f.token.text)
	}
	return nil
}

func (p *parser) bit() (int, *Error) {
	t := p.now
	if t.kind != number || t.format != decimal || t.mask != nil || t.value.Cmp(big.NewInt(math.MaxInt32)) > 0 {
		return 0, p.unexpected("the number of a bit")
	}
	return int(t.value.Int64()), p.advance()
}

// constants is one constant, or several in braces. Without any it is the number 0.
type constants struct {
	list   []token
	braces bool
}

// isBoolean reports whether it is "0" or "1", which are expressions on their own.
func (c constants) isBoolean() bool {
	if len(c.list) != 1 || c.braces {
		return false
	}
	t := c.list[0]
	return t.kind == number && t.format == decimal && t.mask == nil && t.value.Cmp(big.NewInt(1)) <= 0
}

// isText reports whether the constants are strings.
func isText(t token) bool { return t.kind == text || t.kind == group }

// mixed reports whether one constant is a string and the other one is not.
func mixed(a, b token) bool {
	return a.kind != variable && b.kind != variable && isText(a) != isText(b)
}

func (p *parser) constants() (constants, *Error) {
	var out constants
	var err *Error
	if out.braces, err = p.match("{"); err != nil {
		return out, err
	}
	for {
		switch p.now.kind {
		case text, number, set, group, variable:
		default:
			return out, p.unexpected("a constant")
		}
		if len(out.list) > 0 && mixed(out.list[0], p.now) {
			return out, p.errorf(p.now, "strings and numbers are mixed")
		}
		out.list = append(out.list, p.now)
		if err := p.advance(); err != nil || !out.braces {
			return out, err
		}
		if _, err := p.match(","); err != nil {
			return out, err
		}
		if closed, err := p.match("}"); err != nil || closed {
			return out, err
		}
	}
}

// compare checks a comparison.
func (p *parser) compare(f field, operator kind, c constants) *Error {
	for _, t := range c.list {
		if err := p.compatible(f, t); err != nil {
			return err
		}
	}
	if operator != "==" && operator != "!=" {
		return p.ordered(f, operator, c)
	}
	if f.symbol.level != nominal {
		return nil
	}
	if !f.symbol.predicate {
		if (operator == "==") == p.not {
			return p.errorf(f.token, "%s can only be tested for equality, counting enclosing negations", f.token.text)
		}
		return nil
	}
	if len(c.list) == 0 {
		c.list = []token{{value: new(big.Int)}}
	}
	for _, t := range c.list {
		if t.kind == variable {
			continue
		}
		if t.kind == set {
			return p.errorf(t, "a set can only be compared with a field, not with the predicate %s", f.token.text)
		}
		if positive := t.value.Bit(0) == 1; positive != ((operator == "!=") != p.not) {
			continue
		}
		return p.errorf(f.token, "%[1]s can only be tested positively: %[1]s, not !%[1]s", f.token.text)
	}
	return nil
}

// ordered checks a comparison with <, <=, > or >=.
func (p *parser) ordered(f field, operator kind, c constants) *Error {
	switch {
	case c.braces || c.list[0].kind == set:
		return p.errorf(c.list[0], "a set can only be compared with == and !=, not with %s", operator)
	case f.symbol.level != ordinal:
		return p.errorf(f.token, "%s can only be compared with == and !=, not with %s", f.token.text, operator)
	case c.list[0].mask != nil:
		return p.errorf(c.list[0], "a value with a mask can only be compared with == and !=, not with %s", operator)
	}
	return nil
}

// compatible checks the type and the width of a constant.
func (p *parser) compatible(f field, t token) *Error {
	switch {
	case t.kind == variable:
		return nil
	case f.symbol.width == 0 && !isText(t):
		return p.errorf(t, "%s is a string: compare it with a string in quotes or with a port group", f.token.text)
	case f.symbol.width > 0 && isText(t):
		return p.errorf(t, "%s is a number, not a string", f.token.text)
	case t.kind != number:
		return nil
	}
	switch width := widthFor(f, t); {
	case width > f.bits:
		return p.errorf(t, "%s needs %d bits, %s has %d", t.text, width, f.token.text, f.bits)
	case t.mask != nil && f.symbol.level == nominal:
		return p.errorf(t, "%s cannot be compared with a mask", f.token.text)
	case addressBits[t.format] > 0 && f.symbol.format != "" && f.symbol.format != t.format:
		return p.errorf(t, "%s is an %s address, %s has %s addresses", t.text, t.format, f.token.text, f.symbol.format)
	default:
		return nil
	}
}

// addressBits is the width of addresses in bits.
var addressBits = map[format]int{ipv4: 32, ipv6: 128, ethernet: 48}

// widthFor returns how many bits a number needs in a comparison with a field.
func widthFor(f field, t token) int {
	bits := addressBits[t.format]
	switch {
	case t.mask != nil:
		return t.mask.BitLen()
	case bits == 0 || f.part && bits <= f.symbol.width: // an address may be compared with a part of one
		return t.value.BitLen()
	default:
		return bits
	}
}
