// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// ParseAddrs reads "10.16.0.5", "fd00::5" or both separated by a comma, in any order. Blanks around an address are
// ignored.
func ParseAddrs(text string) (Addrs, error) {
	return parseDual(text, func(part string) (netip.Addr, bool, error) {
		a, err := parseAddr(part)
		return a, a.Is4(), err
	})
}

// ParsePrefixes reads "10.16.0.0/16", "fd00::/64" or both separated by a comma, in any order, and clears the host bits.
func ParsePrefixes(text string) (Prefixes, error) {
	return parseDual(text, func(part string) (netip.Prefix, bool, error) {
		p, err := parsePrefix(part)
		return p.Masked(), p.Addr().Is4(), err
	})
}

// ParseRange reads "10.16.0.5" or "10.16.0.5..10.16.0.9", both ends included.
func ParseRange(text string) (Range, error) {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		last = first
	}
	var r Range
	var err error
	if r.First, err = parseAddr(strings.TrimSpace(first)); err != nil {
		return Range{}, err
	}
	if r.Last, err = parseAddr(strings.TrimSpace(last)); err != nil {
		return Range{}, err
	}
	if r.First.Is4() != r.Last.Is4() {
		return Range{}, errors.New("the ends have different IP families")
	}
	if r.Last.Less(r.First) {
		return Range{}, fmt.Errorf("it ends before it begins: %s is lower than %s", r.Last, r.First)
	}
	return r, nil
}

// AddrsText formats addresses as in annotations and specs: "v4", "v6" or "v4,v6".
func AddrsText(a Addrs) string { return text(Families(a)) }

// PrefixesText formats prefixes as in annotations and specs: "v4", "v6" or "v4,v6".
func PrefixesText(p Prefixes) string { return text(PrefixFamilies(p)) }

func text[T fmt.Stringer](values []T) string {
	parts := make([]string, 0, len(values))
	for _, v := range values {
		parts = append(parts, v.String())
	}
	return strings.Join(parts, ",")
}

// parseDual parses one or two parts of different IP families.
func parseDual[T any](text string, parse func(string) (value T, is4 bool, err error)) (Dual[T], error) {
	parts := strings.Split(text, ",")
	if len(parts) > 2 {
		return Dual[T]{}, fmt.Errorf("it has %d parts; at most one for IPv4 and one for IPv6 are allowed", len(parts))
	}
	var out Dual[T]
	var has4, has6 bool
	for _, part := range parts {
		value, is4, err := parse(strings.TrimSpace(part))
		switch {
		case err != nil:
			return Dual[T]{}, err
		case is4 && has4 || !is4 && has6:
			return Dual[T]{}, errors.New("both parts have the same IP family")
		case is4:
			out.V4, has4 = value, true
		default:
			out.V6, has6 = value, true
		}
	}
	return out, nil
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s is not an address: %s", quote(text), cause(err))
	}
	if a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%s is not a plain IPv4 or IPv6 address", quote(text))
	}
	return a, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a CIDR: %s", quote(text), cause(err))
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is not a plain IPv4 or IPv6 prefix", quote(text))
	}
	return p, nil
}

// cause removes the name of the Go function and the quoted input from an error of net/netip, which do not help a user.
func cause(err error) string {
	message := err.Error()
	if i := strings.LastIndex(message, "): "); i >= 0 {
		return message[i+len("): "):]
	}
	return message
}

// quote quotes a value for a message and truncates a very long one.
func quote(text string) string {
	const most = 100
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

// csv splits a comma separated list and drops blanks and empty elements.
func csv(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// pick returns the entries of m with these keys; nil if there is none.
func pick(m map[string]string, keys []string) map[string]string {
	var out map[string]string
	for _, key := range keys {
		value, ok := m[key]
		if !ok {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(keys))
		}
		out[key] = value
	}
	return out
}

// cloned copies labels; nil when there are none, so that absent and empty are equal.
func cloned(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// notAName returns why text cannot be the name of one of our objects; empty if it can.
func notAName(text string) string {
	if causes := validation.IsDNS1123Subdomain(text); len(causes) > 0 {
		return causes[0]
	}
	return ""
}
