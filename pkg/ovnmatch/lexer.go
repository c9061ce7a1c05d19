// SPDX-License-Identifier: Apache-2.0

package ovnmatch

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// kind is the kind of a token. Punctuation is its own kind.
type kind string

const (
	end    kind = "the end"
	name   kind = "a name"
	text   kind = "a string"
	number kind = "a number"
	set    kind = "an address set"
	group  kind = "a port group"
	// variable stands for a text that depends on the chassis (ovn-nb(5), table Chassis_Template_Var).
	variable kind = "a template variable"
)

// format is the notation of a number.
type format string

const (
	decimal  format = "decimal"
	hex      format = "hexadecimal"
	ipv4     format = "IPv4"
	ipv6     format = "IPv6"
	ethernet format = "Ethernet"
)

// token is one word of an expression.
type token struct {
	kind kind
	at   int // its offset in bytes
	// text is what the expression contains, without the sigil of a set, group or variable.
	text string
	// Of a number. mask is nil without "/".
	format      format
	value, mask *big.Int
}

// Error is an error in an expression.
type Error struct {
	Column  int // of the character, from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// lexer divides an expression into tokens.
type lexer struct {
	input string
	at    int
}

func (l *lexer) errorf(at int, message string, args ...any) *Error {
	return &Error{Column: l.column(at), Message: fmt.Sprintf(message, args...)}
}

// column counts characters from 1, for an offset in bytes.
func (l *lexer) column(at int) int { return utf8.RuneCountInString(l.input[:at]) + 1 }

// operators are the tokens of punctuation; longer ones come first.
var operators = []string{"&&", "||", "==", "!=", "<=", ">=", "..", "<", ">", "!", "(", ")", "{", "}", "[", "]", ","}

// next reads a token.
func (l *lexer) next() (token, *Error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	rest, at := l.input[l.at:], l.at
	switch {
	case rest == "":
		return token{kind: end, at: at}, nil
	case rest[0] == '"':
		return l.quoted()
	case strings.IndexByte("$@^", rest[0]) >= 0:
		return l.sigil()
	case strings.HasPrefix(rest, "::"), isDigit(rest[0]), startsAddress(rest):
		return l.number()
	case isLetter(rest[0]):
		return token{kind: name, at: at, text: l.take(isWord)}, nil
	}
	for _, operator := range operators {
		if strings.HasPrefix(rest, operator) {
			l.at += len(operator)
			return token{kind: kind(operator), at: at, text: operator}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, l.errorf(at, "%q cannot be here", r)
}

// skip skips blanks and comments.
func (l *lexer) skip() *Error {
	for l.at < len(l.input) {
		rest := l.input[l.at:]
		switch {
		case strings.ContainsRune(" \t\n\r\v\f", rune(rest[0])):
			l.at++
		case strings.HasPrefix(rest, "//"):
			length := strings.IndexByte(rest, '\n')
			if length < 0 { // ovn-northd puts the expression into a larger one, which would be a part of the comment
				return l.errorf(l.at, "a // comment must end with a line break")
			}
			l.at += length
		case strings.HasPrefix(rest, "/*"):
			length := strings.Index(rest[2:], "*/")
			if length < 0 || strings.Contains(rest[:2+length], "\n") {
				return l.errorf(l.at, "/* without */ in the same line")
			}
			l.at += length + len("/**/")
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) take(while func(byte) bool) string {
	from := l.at
	for l.at < len(l.input) && while(l.input[l.at]) {
		l.at++
	}
	return l.input[from:l.at]
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' }

// startsAddress distinguishes the MAC and IPv6 addresses that begin with a letter from names.
func startsAddress(rest string) bool {
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789abcdefABCDEF"))
	return digits > 0 && digits < len(rest) && rest[digits] == ':'
}

// sigil reads "$set", "@group" or "^variable".
func (l *lexer) sigil() (token, *Error) {
	out := token{kind: map[byte]kind{'$': set, '@': group, '^': variable}[l.input[l.at]], at: l.at}
	l.at++
	if l.at == len(l.input) || !isWord(l.input[l.at]) || isDigit(l.input[l.at]) {
		return token{}, l.errorf(out.at, "the name of %s is missing", out.kind)
	}
	out.text = l.take(isWord)
	return out, nil
}

// quoted reads a string with the escape sequences of JSON.
func (l *lexer) quoted() (token, *Error) {
	out := token{kind: text, at: l.at}
	for l.at++; l.at < len(l.input); {
		c := l.input[l.at]
		l.at++
		switch {
		case c == '"':
			out.text = l.input[out.at:l.at]
			return out, nil
		case c == '\\' && !l.escape():
			return token{}, l.errorf(l.at-1, "invalid escape sequence")
		}
	}
	return token{}, l.errorf(out.at, "the string has no end")
}

// escape skips what follows a backslash (RFC 8259 §7).
func (l *lexer) escape() bool {
	if l.at == len(l.input) {
		return false
	}
	c := l.input[l.at]
	l.at++
	if c != 'u' {
		return strings.IndexByte(`"\/bfnrt`, c) >= 0
	}
	const digits = 4
	if l.at+digits > len(l.input) {
		return false
	}
	code, ok := new(big.Int).SetString(l.input[l.at:l.at+digits], 16)
	l.at += digits
	surrogate := ok && code.Int64() >= 0xd800 && code.Int64() < 0xe000 // only pairs are valid; no name needs them
	return ok && code.Sign() > 0 && !surrogate
}

// number reads a number or an address, and the mask after it.
func (l *lexer) number() (token, *Error) {
	out, err := l.constant()
	if err != nil || l.at == len(l.input) || l.input[l.at] != '/' || strings.HasPrefix(l.input[l.at:], "/*") || strings.HasPrefix(l.input[l.at:], "//") {
		return out, err
	}
	l.at++
	mask, err := l.constant()
	if err != nil {
		return token{}, err
	}
	out.text = l.input[out.at:l.at]
	bits := map[format]int64{ipv4: 32, ipv6: 128}[out.format]
	switch {
	case out.format == mask.format:
		out.mask = mask.value
	case bits > 0 && mask.format == decimal:
		if mask.value.Cmp(big.NewInt(bits)) > 0 {
			return token{}, l.errorf(mask.at, "the prefix length %s of an %s address is greater than %d", mask.text, out.format, bits)
		}
		out.mask = prefixMask(uint(bits), uint(mask.value.Uint64()))
	case out.format == decimal && mask.format == hex && out.value.Sign() == 0: // 0/0xff
		out.format, out.mask = hex, mask.value
	default:
		return token{}, l.errorf(mask.at, "the mask is %s, the value is %s", mask.format, out.format)
	}
	out.value = new(big.Int).And(out.value, out.mask)
	return out, nil
}

func prefixMask(bits, length uint) *big.Int {
	one := big.NewInt(1)
	ones := new(big.Int).Sub(new(big.Int).Lsh(one, length), one)
	return ones.Lsh(ones, bits-length)
}

// constant reads a number or an address.
func (l *lexer) constant() (token, *Error) {
	out := token{kind: number, at: l.at}
	dot := false
	for ; l.at < len(l.input); l.at++ {
		c := l.input[l.at]
		double := c == '.' && strings.HasPrefix(l.input[l.at:], "..")
		if (!isWord(c) || c == '_' || double) && (c != ':' || dot) {
			break
		}
		dot = dot || c == '.' // a colon after it separates an IPv4 address from a port
	}
	out.text = l.input[out.at:l.at]
	if cause := out.parse(); cause != "" {
		return token{}, l.errorf(out.at, "%q: %s", out.text, cause)
	}
	return out, nil
}

const (
	maxDecimalBits = 64
	maxHexBits     = 128
)

// parse sets the value of a number. It returns why it is none.
func (t *token) parse() string {
	digits, isHex := strings.CutPrefix(strings.Replace(t.text, "0X", "0x", 1), "0x")
	switch {
	case t.text == "":
		return "a number or an address is missing"
	case strings.Trim(t.text, "0123456789") == "":
		t.format, t.value = decimal, bigInt(t.text, 10)
		if len(t.text) > 1 && t.text[0] == '0' {
			return "a decimal number must not have leading zeros"
		}
		if t.value.BitLen() > maxDecimalBits {
			return "a decimal number must be less than 2**64"
		}
		return ""
	case isHex:
		if t.format, t.value = hex, bigInt(digits, 16); t.value == nil || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
			return "not a hexadecimal number"
		}
		if t.value.BitLen() > maxHexBits {
			return "the number has more than 128 bits"
		}
		return ""
	}
	if isMAC(t.text) {
		t.format, t.value = ethernet, bigInt(strings.ReplaceAll(t.text, ":", ""), 16)
		return ""
	}
	address, err := netip.ParseAddr(t.text)
	if err != nil {
		return "not a number, an IP address or a MAC address"
	}
	t.format, t.value = ipv6, new(big.Int).SetBytes(address.AsSlice())
	if address.Is4() {
		t.format = ipv4
	}
	return ""
}

func bigInt(digits string, base int) *big.Int {
	out, _ := new(big.Int).SetString(digits, base)
	return out
}

func isMAC(text string) bool {
	parts := strings.Split(text, ":")
	for _, part := range parts {
		if len(part) != 2 || strings.Trim(part, "0123456789abcdefABCDEF") != "" {
			return false
		}
	}
	return len(parts) == 6
}
