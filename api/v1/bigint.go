// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// BigInt is a whole number of any size that is a plain number in JSON. It
// counts addresses: a /64 has 2^64 of them, more than an int64 can hold.
//
// Its text is the canonical decimal number, so that == compares values; zero is
// the empty string. Make one with [NewBigInt] or [BigIntOf], never by
// converting a string.
//
// Numbers above 2^63 survive this type unchanged in both directions, but the
// API server keeps such a number of a custom resource as a 64-bit float and may
// return it rounded to 53 bits.
//
// +kubebuilder:validation:Type=number
type BigInt string

// Bounds of a number in JSON: the count of all IPv6 addresses has 39 digits, and
// an exponent such as 1e999999999 must not make us allocate its digits.
const (
	maxBigIntText     = 128
	maxBigIntExponent = 64
)

// NewBigInt returns n as a BigInt; nil is zero.
func NewBigInt(n *big.Int) BigInt {
	if n == nil || n.Sign() == 0 {
		return ""
	}
	return BigInt(n.String())
}

// BigIntOf returns n as a BigInt.
func BigIntOf(n int64) BigInt {
	return NewBigInt(big.NewInt(n))
}

// Int returns the number in a new big.Int. A BigInt that was not made by this
// package and is no number counts as zero.
func (b BigInt) Int() *big.Int {
	n, ok := new(big.Int).SetString(b.String(), 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

// String returns the number in decimal.
func (b BigInt) String() string {
	if b == "" {
		return "0"
	}
	return string(b)
}

// MarshalJSON writes all digits of the number, without quotes or exponent.
func (b BigInt) MarshalJSON() ([]byte, error) {
	n, ok := new(big.Int).SetString(b.String(), 10)
	if !ok {
		return nil, fmt.Errorf("marshal BigInt: %q is not a whole number", string(b))
	}
	return []byte(n.String()), nil
}

// UnmarshalJSON reads a whole number, with an exponent (1.8e+19, which is how an
// API server writes large floats) or without, bare or quoted (as older releases
// of the API wrote it); null is zero. A fraction, or more than 128 characters,
// is an error.
func (b *BigInt) UnmarshalJSON(data []byte) error {
	text := string(bytes.TrimSpace(data))
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("unmarshal BigInt: %w", err)
		}
	}
	if text == "null" || text == "" {
		*b = ""
		return nil
	}
	n, err := parseWhole(text)
	if err != nil {
		return fmt.Errorf("unmarshal BigInt: %w", err)
	}
	*b = NewBigInt(n)
	return nil
}

// parseWhole reads a JSON number whose value is a whole number.
func parseWhole(text string) (*big.Int, error) {
	if len(text) > maxBigIntText {
		return nil, fmt.Errorf("number of %d characters is longer than %d", len(text), maxBigIntText)
	}
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return nil, fmt.Errorf("%q is not a decimal number", text)
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(text[i+1:])
		if err != nil || exponent > maxBigIntExponent || exponent < -maxBigIntExponent {
			return nil, fmt.Errorf("exponent of %q is not within ±%d", text, maxBigIntExponent)
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%q is not a decimal number", text)
	}
	if !r.IsInt() {
		return nil, fmt.Errorf("%q is not a whole number", text)
	}
	return r.Num(), nil
}
