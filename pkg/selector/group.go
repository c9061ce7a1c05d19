// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// The operators of requirements, as package k8s.io/apimachinery/pkg/selection spells them.
const (
	opIn           = "in"
	opEquals       = "="
	opDoubleEquals = "=="
	opNotIn        = "notin"
	opNotEquals    = "!="
	opNotExists    = "!"
)

// nothing is the normal form of a selector that matches no object. No list of requirements has that form.
const nothing = "\x00nothing"

// Name is the content address of a selector: equal for selectors that differ only in order or notation ("a=b" and
// "a in (b)"). It is 32 hexadecimal digits, so that it fits into any name of OVN or Kubernetes.
func Name(s labels.Selector) string {
	const bytes = 16
	sum := sha256.Sum256([]byte(normal(s)))
	return hex.EncodeToString(sum[:bytes])
}

// normal returns the normal form of a selector: a string that is equal for equal selectors.
func normal(s labels.Selector) string {
	requirements, selectable := s.Requirements()
	if !selectable {
		return nothing
	}
	parts := make([]string, 0, len(requirements))
	for i := range requirements {
		parts = append(parts, normalRequirement(&requirements[i]))
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), ";")
}

func normalRequirement(r *labels.Requirement) string {
	operator := string(r.Operator())
	switch operator {
	case opEquals, opDoubleEquals:
		operator = opIn
	case opNotEquals:
		operator = opNotIn
	}
	values := values(r)
	for i, v := range values {
		values[i] = strconv.Quote(v)
	}
	return r.Key() + " " + operator + " " + strings.Join(values, ",")
}

// values returns the values of a requirement, sorted and without duplicates.
func values(r *labels.Requirement) []string {
	out := slices.Clone(r.ValuesUnsorted())
	slices.Sort(out)
	return slices.Compact(out)
}

// anchor restricts the search for members of a group: every member has label key with one of values, or with any value
// if values is empty. A group that requires the presence of no label has no anchor (key is empty).
type anchor struct {
	key    string
	values []string
}

// anchorOf picks the requirement that leaves the fewest candidates: the one with the shortest list of values, else one
// that requires that a key exists.
func anchorOf(requirements labels.Requirements) anchor {
	var best anchor
	for i := range requirements {
		r := &requirements[i]
		var candidate anchor
		switch string(r.Operator()) {
		case opNotIn, opNotEquals, opNotExists:
			continue
		case opIn, opEquals, opDoubleEquals:
			candidate = anchor{key: r.Key(), values: values(r)}
		default: // exists, gt, lt
			candidate = anchor{key: r.Key()}
		}
		if best.key == "" || better(candidate, best) {
			best = candidate
		}
	}
	return best
}

func better(a, b anchor) bool {
	if len(a.values) == 0 || len(b.values) == 0 {
		return len(a.values) > len(b.values)
	}
	return len(a.values) < len(b.values)
}

// group holds all selectors of one normal form and the objects that match.
type group struct {
	normal   string
	selector labels.Selector
	anchor   anchor
	ids      map[string]struct{} // of the selectors
	members  map[string]struct{} // keys of the objects
}

func newGroup(s labels.Selector) *group {
	g := &group{normal: normal(s), selector: s, ids: map[string]struct{}{}, members: map[string]struct{}{}}
	if requirements, selectable := s.Requirements(); selectable {
		g.anchor = anchorOf(requirements)
	}
	return g
}
