// SPDX-License-Identifier: Apache-2.0

package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"strings"
)

// maxListed is the maximum number of addresses, or pairs, in one list: a /16.
const maxListed = 1 << 16

// AddressList is a list of addresses, or of pairs of one IPv4 and one IPv6 address, in order of preference. An element
// is a range: the n-th address of its IPv4 range is paired with the n-th of its IPv6 range.
type AddressList []Dual[Range]

// ParseAddressList parses "10.16.0.10,10.16.0.12..10.16.0.15", addresses and ranges of one IP family, or pairs
// "10.16.0.10,fd00::10;10.16.0.11,fd00::11". Without a ";", two elements of different IP families are one pair.
func ParseAddressList(text string) (AddressList, error) {
	var list AddressList
	var err error
	if parts := csv(text); !strings.Contains(text, ";") && !isPair(parts) {
		list, err = parseOneFamily(parts)
	} else {
		list, err = parsePairs(text)
	}
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, errors.New("it has no address")
	case list.Len() > maxListed:
		return nil, fmt.Errorf("it has more than %d addresses; create an IPPool instead", maxListed)
	}
	return list, nil
}

func isPair(parts []string) bool {
	if len(parts) != 2 {
		return false
	}
	a, errA := ParseRange(parts[0])
	b, errB := ParseRange(parts[1])
	return errA == nil && errB == nil && a.First.Is4() != b.First.Is4()
}

func parseOneFamily(parts []string) (AddressList, error) {
	var list AddressList
	for _, part := range parts {
		one, err := parseRun([]string{part})
		if err != nil {
			return nil, err
		}
		if len(list) > 0 && list[0].V4.First.IsValid() != one.V4.First.IsValid() {
			return nil, errors.New(`it mixes address families; pairs are separated by ";", as in 10.16.0.10,fd00::10;10.16.0.11,fd00::11`)
		}
		list = append(list, one)
	}
	return list, nil
}

func parsePairs(text string) (AddressList, error) {
	var list AddressList
	for element := range strings.SplitSeq(text, ";") {
		parts := csv(element)
		if len(parts) == 0 {
			continue
		}
		if len(parts) > 2 {
			return nil, fmt.Errorf("%s has more than one address of an IP family", quote(element))
		}
		run, err := parseRun(parts)
		if err != nil {
			return nil, err
		}
		list = append(list, run)
	}
	return list, nil
}

// parseRun parses one range, or one range of each IP family with the same number of addresses.
func parseRun(parts []string) (run Dual[Range], err error) {
	for _, part := range parts {
		r, err := ParseRange(part)
		if err != nil {
			return run, err
		}
		for _, end := range []netip.Addr{r.First, r.Last} {
			if cause := notUnicast(end); cause != nil {
				return run, fmt.Errorf("%s %w", end, cause)
			}
		}
		mine := &run.V6
		if r.First.Is4() {
			mine = &run.V4
		}
		if mine.First.IsValid() {
			return run, fmt.Errorf("%s: both parts have the same IP family", quote(strings.Join(parts, ",")))
		}
		*mine = r
	}
	if run.V4.First.IsValid() && run.V6.First.IsValid() && run.V4.Len() != run.V6.Len() {
		return run, fmt.Errorf("%s and %s have different numbers of addresses", run.V4, run.V6)
	}
	return run, nil
}

// Len counts the addresses of a range, at most [math.MaxInt].
func (r Range) Len() int {
	first, last := r.First.As16(), r.Last.As16()
	if [8]byte(first[:8]) != [8]byte(last[:8]) {
		return math.MaxInt
	}
	n := binary.BigEndian.Uint64(last[8:]) - binary.BigEndian.Uint64(first[8:])
	if n >= math.MaxInt {
		return math.MaxInt
	}
	return int(n) + 1
}

// at returns the n-th address of a range that has more than n.
func (r Range) at(n int) netip.Addr {
	if !r.First.IsValid() {
		return netip.Addr{}
	}
	a := r.First.As16()
	low := binary.BigEndian.Uint64(a[8:])
	sum := low + uint64(n) //nolint:gosec // n is not negative
	binary.BigEndian.PutUint64(a[8:], sum)
	if sum < low {
		binary.BigEndian.PutUint64(a[:8], binary.BigEndian.Uint64(a[:8])+1)
	}
	addr := netip.AddrFrom16(a)
	if r.First.Is4() {
		return addr.Unmap()
	}
	return addr
}

func runLen(run Dual[Range]) int {
	if run.V4.First.IsValid() {
		return run.V4.Len()
	}
	return run.V6.Len()
}

// Len counts the addresses, or pairs, at most [math.MaxInt].
func (l AddressList) Len() int {
	n := 0
	for _, run := range l {
		more := runLen(run)
		if more > math.MaxInt-n {
			return math.MaxInt
		}
		n += more
	}
	return n
}

// At returns the n-th address or pair, counted from zero.
func (l AddressList) At(n int) (Addrs, bool) {
	for _, run := range l {
		size := runLen(run)
		if n < size {
			return Addrs{V4: run.V4.at(n), V6: run.V6.at(n)}, n >= 0
		}
		n -= size
	}
	return Addrs{}, false
}

// All yields the addresses, or pairs, in order.
func (l AddressList) All() iter.Seq[Addrs] {
	return func(yield func(Addrs) bool) {
		for _, run := range l {
			for n := range runLen(run) {
				if !yield(Addrs{V4: run.V4.at(n), V6: run.V6.at(n)}) {
					return
				}
			}
		}
	}
}

// Holds reports whether addresses are in the list. One address of a pair may be missing.
func (l AddressList) Holds(a Addrs) bool {
	for _, run := range l {
		in4, at4 := within(run.V4, a.V4)
		in6, at6 := within(run.V6, a.V6)
		if in4 && in6 && at4 == at6 || in4 && !in6 && !bothValid(run.V6, a.V6) || in6 && !in4 && !bothValid(run.V4, a.V4) {
			return true
		}
	}
	return false
}

func bothValid(r Range, a netip.Addr) bool { return r.First.IsValid() && a.IsValid() }

// within reports whether and where an address is in a range.
func within(r Range, a netip.Addr) (in bool, at int) {
	if !bothValid(r, a) || !r.Contains(a) {
		return false, 0
	}
	return true, Range{First: r.First, Last: a}.Len()
}

// String formats a list as in annotations; [ParseAddressList] reverses it.
func (l AddressList) String() string {
	separator := ","
	for _, run := range l {
		if run.V4.First.IsValid() != l[0].V4.First.IsValid() || run.V4.First.IsValid() == run.V6.First.IsValid() {
			separator = ";"
		}
	}
	var parts []string
	for _, run := range l {
		var pair []string
		for _, r := range []Range{run.V4, run.V6} {
			if r.First.IsValid() {
				pair = append(pair, r.String())
			}
		}
		parts = append(parts, strings.Join(pair, ","))
	}
	return strings.Join(parts, separator)
}
