// SPDX-License-Identifier: Apache-2.0

// Package nft keeps our nftables table what a plan says. Everything in the table
// is ours and nothing outside it is touched; each change is one transaction.
package nft

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/knftables"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Driver applies tables. Its zero value uses the nft program of the machine, in
// the network namespace of the calling thread.
type Driver struct {
	// Tables is set by tests; nil means the nft program.
	Tables knftables.Interface
	open   sync.Mutex
}

// table is the program's view of a table.
func (d *Driver) table(name string) (knftables.Interface, error) {
	d.open.Lock()
	defer d.open.Unlock()
	if d.Tables != nil {
		return d.Tables, nil
	}
	t, err := knftables.New(knftables.InetFamily, name)
	if err != nil {
		return nil, fmt.Errorf("find nft: %w", err)
	}
	d.Tables = t
	return t, nil
}

// Apply compares the kernel's table with the wanted one and changes what
// differs, in one transaction. What is as it should be is not touched, so that
// it goes on to hold for packets that pass meanwhile: the kernel swaps the rules
// of a chain atomically, but a chain that is created again, and elements of a set that
// is created again, take effect one after the other. Apply says in a word what it did;
// "" is nothing.
func (d *Driver) Apply(ctx context.Context, want hostplan.Table) (string, error) {
	tables, err := d.table(want.Name)
	if err != nil {
		return "", err
	}
	have, err := tables.ListAll(ctx)
	if knftables.IsNotFound(err) {
		return "table written", d.whole(ctx, want)
	}
	if err != nil {
		return "", fmt.Errorf("read table inet %s: %w", want.Name, err)
	}
	c := &change{tables: d.Tables, tx: d.Tables.NewTransaction(), have: have}
	if err := c.compare(ctx, want); err != nil {
		return "", fmt.Errorf("read table inet %s: %w", want.Name, err)
	}
	if c.tx.NumOperations() == 0 {
		return "", nil
	}
	if d.run(ctx, want.Name, c.tx) != nil {
		// Somebody has made one of the objects something else, a chain with another hook, say.
		return "table rewritten", d.whole(ctx, want)
	}
	if c.rules {
		return "rules changed", nil
	}
	return fmt.Sprintf("%d set elements changed", c.tx.NumOperations()), nil
}

func (d *Driver) run(ctx context.Context, table string, tx *knftables.Transaction) error {
	if err := d.Tables.Run(ctx, tx); err != nil {
		return fmt.Errorf("write table inet %s: %w", table, err)
	}
	return nil
}

// whole creates the table again. "add" before "delete" lets it work whether the table is there or not.
func (d *Driver) whole(ctx context.Context, want hostplan.Table) error {
	c := &change{tables: d.Tables, tx: d.Tables.NewTransaction()}
	c.tx.Add(&knftables.Table{})
	c.tx.Delete(&knftables.Table{})
	c.tx.Add(&knftables.Table{})
	if err := c.compare(ctx, want); err != nil {
		return err
	}
	return d.run(ctx, want.Name, c.tx)
}

// change is a transaction that grows.
type change struct {
	tables knftables.Interface
	tx     *knftables.Transaction
	// have are the names of what is in the table, by kind.
	have map[string][]string
	// rules is true if more than elements changes.
	rules bool
}

// compare adds what makes the table the wanted one. Chains and counters come
// before the elements and rules that refer to them, and go after those.
func (c *change) compare(ctx context.Context, want hostplan.Table) error {
	c.addCounters(want.Counters)
	var stale []hostplan.Chain
	for _, w := range want.Chains {
		if !c.has("chain", w.Name) {
			c.tx.Add(chain(w))
		} else if same, err := c.sameRules(ctx, w); err != nil || same {
			if err != nil {
				return err
			}
			continue
		} else {
			c.tx.Flush(&knftables.Chain{Name: w.Name})
		}
		stale = append(stale, w)
	}
	surplus := c.surplus("chain", names(want.Chains, func(c hostplan.Chain) string { return c.Name }))
	for _, name := range surplus {
		c.tx.Flush(&knftables.Chain{Name: name})
	}
	c.rules = c.rules || len(stale)+len(surplus) > 0
	if err := c.compareSets(ctx, want); err != nil {
		return err
	}
	if err := c.compareMaps(ctx, want); err != nil {
		return err
	}
	for _, name := range surplus {
		c.tx.Delete(&knftables.Chain{Name: name})
	}
	c.deleteCounters(want.Counters)
	for _, w := range stale {
		for _, r := range w.Rules {
			c.tx.Add(&knftables.Rule{Chain: w.Name, Rule: r.Text, Comment: knftables.PtrTo(comment(w, r))})
		}
	}
	return nil
}

func (c *change) addCounters(want []hostplan.Counter) {
	for _, w := range want {
		if !c.has("counter", w.Name) {
			c.tx.Add(&knftables.Counter{Name: w.Name})
		}
	}
}

func (c *change) deleteCounters(want []hostplan.Counter) {
	for _, name := range c.surplus("counter", names(want, func(c hostplan.Counter) string { return c.Name })) {
		c.tx.Delete(&knftables.Counter{Name: name})
	}
}

// sameRules compares the rules of a chain by their comments, which hold a digest
// of the rule's text: nft prints a rule in other words than it was given.
func (c *change) sameRules(ctx context.Context, want hostplan.Chain) (bool, error) {
	rules, err := c.tables.ListRules(ctx, want.Name)
	if err != nil {
		return false, fmt.Errorf("list rules of chain %s: %w", want.Name, err)
	}
	return slices.EqualFunc(rules, want.Rules, func(have *knftables.Rule, r hostplan.Rule) bool {
		return have.Comment != nil && *have.Comment == comment(want, r)
	}), nil
}

func (c *change) compareSets(ctx context.Context, want hostplan.Table) error {
	for _, name := range c.surplus("set", names(want.Sets, func(s hostplan.Set) string { return s.Name })) {
		c.rules = true
		c.tx.Delete(&knftables.Set{Name: name})
	}
	for _, s := range want.Sets {
		if !c.has("set", s.Name) {
			c.rules = true
			set := &knftables.Set{Name: s.Name, Type: s.Type}
			if s.Interval {
				set.Flags = []knftables.SetFlag{knftables.IntervalFlag}
			}
			c.tx.Add(set)
		}
		if err := c.elements(ctx, "set", s.Name, setElements(s)); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) compareMaps(ctx context.Context, want hostplan.Table) error {
	for _, name := range c.surplus("map", names(want.Maps, func(m hostplan.Map) string { return m.Name })) {
		c.rules = true
		c.tx.Delete(&knftables.Map{Name: name})
	}
	for _, m := range want.Maps {
		if !c.has("map", m.Name) {
			c.rules = true
			c.tx.Add(newMap(m))
		}
		if m.Learned {
			continue
		}
		if err := c.elements(ctx, "map", m.Name, mapElements(m)); err != nil {
			return err
		}
	}
	return nil
}

// learnedSize bounds how many elements rules may add to a map: the kernel wants a bound.
const learnedSize = 1 << 20

func newMap(m hostplan.Map) *knftables.Map {
	out := &knftables.Map{Name: m.Name, Type: m.Type, TypeOf: m.TypeOf}
	if !m.Exact {
		out.Flags = append(out.Flags, knftables.IntervalFlag)
	}
	if m.Learned {
		out.Flags = append(out.Flags, knftables.DynamicFlag, knftables.TimeoutFlag)
		out.Size = knftables.PtrTo[uint64](learnedSize)
	}
	return out
}

// elements makes the elements of one set or map the wanted ones. Removals come
// first, since intervals must not overlap.
func (c *change) elements(ctx context.Context, kind, name string, want []*knftables.Element) error {
	have := map[string]*knftables.Element{}
	if c.has(kind, name) {
		list, err := c.tables.ListElements(ctx, kind, name)
		if err != nil {
			return fmt.Errorf("list elements of %s %s: %w", kind, name, err)
		}
		for _, e := range list {
			have[identity(e)] = e
		}
	}
	var added []*knftables.Element
	for _, e := range want {
		if have[identity(e)] == nil {
			added = append(added, e)
		}
		delete(have, identity(e))
	}
	for _, e := range have {
		c.tx.Delete(e)
	}
	for _, e := range added {
		c.tx.Add(e)
	}
	return nil
}

func (c *change) has(kind, name string) bool { return slices.Contains(c.have[kind], name) }

// surplus are the names of what is in the table and is not wanted.
func (c *change) surplus(kind string, want []string) []string {
	return slices.DeleteFunc(slices.Clone(c.have[kind]), func(name string) bool { return slices.Contains(want, name) })
}

func names[T any](list []T, name func(T) string) (out []string) {
	for _, x := range list {
		out = append(out, name(x))
	}
	return out
}

// identity is all that an element says; a key with another value is another element.
func identity(e *knftables.Element) string {
	return joined(e.Key) + " : " + joined(e.Value)
}

// joined writes protocols as numbers: nft prints the name of one that the machine's /etc/protocols names.
func joined(parts []string) string {
	out := slices.Clone(parts)
	for i, part := range out {
		switch part {
		case "tcp":
			out[i] = "6"
		case "udp":
			out[i] = "17"
		case "sctp":
			out[i] = "132"
		}
	}
	return strings.Join(out, " . ")
}

func chain(c hostplan.Chain) *knftables.Chain {
	if c.Hook == "" {
		return &knftables.Chain{Name: c.Name}
	}
	return &knftables.Chain{
		Name:     c.Name,
		Type:     knftables.PtrTo(knftables.BaseChainType(c.Type)),
		Hook:     knftables.PtrTo(knftables.BaseChainHook(c.Hook)),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(c.Priority)),
	}
}

func setElements(s hostplan.Set) (out []*knftables.Element) {
	for _, key := range s.Elements {
		out = append(out, &knftables.Element{Set: s.Name, Key: []string{key}})
	}
	return out
}

func mapElements(m hostplan.Map) (out []*knftables.Element) {
	for _, e := range m.Elements {
		out = append(out, &knftables.Element{Map: m.Name, Key: []string{e.Key}, Value: []string{e.Value}})
	}
	return out
}

// comment is what the rule is for, and a digest of the rule and its chain.
func comment(c hostplan.Chain, r hostplan.Rule) string {
	sum := sha256.Sum256([]byte(c.Name + " " + c.Type + " " + c.Hook + " " + c.Priority + " " + r.Text))
	return r.Comment + " (" + hex.EncodeToString(sum[:4]) + ")"
}
