// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// policyReader reads the parts that all kinds of policies have. A rule of a NetworkPolicy can only allow, so an invalid
// part is skipped and the other parts apply. Skipping a part of a Deny would allow more than intended, so the other
// kinds are valid as a whole or not at all.
type policyReader struct {
	problems
	whole bool
}

// refuse reports that a peer or a port is invalid.
func (r *policyReader) refuse(field, format string, args ...any) {
	if r.whole {
		r.fatal(field, format, args...)
		return
	}
	r.warn(field, format+"; it matches nothing", args...)
}

// selectorText formats a selector in its normal form, which is the same for all selectors with the same meaning:
// requirements are sorted, and those with one value are equations. It is empty for everything. labels.Parse parses it.
func selectorText(s *metav1.LabelSelector) (string, error) {
	if s == nil {
		return "", errors.New("there is none")
	}
	ordered := &metav1.LabelSelector{} // so that of two errors always the same one is reported
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		ordered.MatchExpressions = append(ordered.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{s.MatchLabels[key]},
		})
	}
	ordered.MatchExpressions = append(ordered.MatchExpressions, s.MatchExpressions...)
	selector, err := metav1.LabelSelectorAsSelector(ordered)
	if err != nil {
		return "", err
	}
	requirements, _ := selector.Requirements()
	texts := make([]string, 0, len(requirements))
	for _, r := range requirements {
		operator, values := r.Operator(), sorted(r.ValuesUnsorted(), strings.Compare)
		switch {
		case len(values) != 1:
		case operator == selection.In:
			operator = selection.Equals
		case operator == selection.NotIn:
			operator = selection.NotEquals
		}
		normal, err := labels.NewRequirement(r.Key(), operator, values)
		if err != nil {
			return "", err
		}
		texts = append(texts, normal.String())
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ","), nil
}

func (r *policyReader) selector(field string, s *metav1.LabelSelector) (string, bool) {
	text, err := selectorText(s)
	if err != nil {
		r.refuse(field, "it is not a label selector: %s", err)
		return "", false
	}
	return text, true
}

// pods reads the selectors of namespaces and of the pods in them.
func (r *policyReader) pods(field string, namespaces, pods *metav1.LabelSelector) (Group, bool) {
	ns, ok := r.selector(field+".namespaceSelector", namespaces)
	text, fine := r.selector(field+".podSelector", pods)
	return Group{Namespaces: ns, Pods: text}, ok && fine
}

// block reads a range of addresses. Without its exceptions it would match too much, so one invalid exception makes the
// block invalid.
func (r *policyReader) block(field, cidr string, except []string) (IPBlock, bool) {
	prefix, err := parseAPIPrefix(cidr)
	if err != nil {
		r.refuse(field, "%s", err)
		return IPBlock{}, false
	}
	b := IPBlock{CIDR: prefix}
	for _, text := range except {
		part, err := parseAPIPrefix(text)
		if err != nil {
			r.refuse(field, "an exception cannot be read: %s", err)
			return IPBlock{}, false
		}
		switch {
		case !part.Overlaps(b.CIDR):
			r.warn(field, "the exception %s is outside of %s and has no effect", part, b.CIDR)
		case part.Bits() <= b.CIDR.Bits():
			r.refuse(field, "the exception %s leaves nothing of %s", part, b.CIDR)
			return IPBlock{}, false
		default:
			b.Except = append(b.Except, part)
		}
	}
	slices.SortFunc(b.Except, netip.Prefix.Compare)
	b.Except = slices.Compact(b.Except)
	return b, true
}

// policyPort is a port in the form that the kinds of policies share: with a name, with a number, or with neither.
type policyPort struct {
	field       string
	protocol    corev1.Protocol
	name        string
	first, last int32  // both 0 for all ports
	cause       string // why it is invalid; empty if it is valid
}

func (r *policyReader) port(in policyPort) (PolicyPort, bool) {
	protocol, known := protocols[in.protocol]
	switch {
	case in.cause != "":
		r.refuse(in.field, "%s", in.cause)
	case !known:
		r.refuse(in.field, "protocol %s is none of TCP, UDP and SCTP", quote(string(in.protocol)))
	case in.name != "":
		return PolicyPort{Protocol: protocol, Name: in.name}, true
	case in.first == 0 && in.last == 0:
		return PolicyPort{Protocol: protocol}, true
	case in.last < in.first:
		r.refuse(in.field, "it ends at port %d, before it begins at %d", in.last, in.first)
	case in.first < 1 || in.first > 65535 || in.last < 1 || in.last > 65535:
		r.refuse(in.field, "ports %d to %d are not between 1 and 65535", in.first, in.last)
	default:
		return PolicyPort{Protocol: protocol, First: uint16(in.first), Last: uint16(in.last)}, true
	}
	return PolicyPort{}, false
}

// normal sorts what a rule matches, so that the order in the spec does not matter, and removes duplicates.
func (r *PolicyRule) normal() {
	r.Groups = sorted(r.Groups, func(a, b Group) int { return cmp.Compare(a.Key(), b.Key()) })
	r.Nodes = sorted(r.Nodes, strings.Compare)
	r.Ports = sorted(r.Ports, comparePolicyPorts)
	slices.SortFunc(r.Blocks, compareBlocks)
	r.Blocks = slices.CompactFunc(r.Blocks, func(a, b IPBlock) bool { return compareBlocks(a, b) == 0 })
}

// nothing makes a rule match nothing; it keeps its position in the list of rules.
func (r *PolicyRule) nothing() { *r = PolicyRule{Name: r.Name, Action: r.Action} }

func sorted[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

func compareBlocks(a, b IPBlock) int {
	return cmp.Or(a.CIDR.Compare(b.CIDR), slices.CompareFunc(a.Except, b.Except, netip.Prefix.Compare))
}

func comparePolicyPorts(a, b PolicyPort) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name, b.Name), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

// element is the field of an element of a list.
func element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
