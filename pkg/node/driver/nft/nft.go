// Package nft keeps our nftables table what a plan says. Everything in the table
// is ours and nothing outside it is touched; each change is one transaction.
package nft

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"sigs.k8s.io/knftables"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Driver applies tables. Its zero value uses the nft program of the machine, in
// the network namespace of the calling thread.
type Driver struct {
	// Tables is set by tests; nil means the nft program.
	Tables knftables.Interface
}

// Apply compares the kernel's table with the wanted one and changes what
// differs: elements alone if only elements differ, else the whole table, in one
// transaction that nobody sees half of. It says in a word what it did; "" is nothing.
func (d *Driver) Apply(ctx context.Context, want hostplan.Table) (string, error) {
	if d.Tables == nil {
		t, err := knftables.New(knftables.InetFamily, want.Name)
		if err != nil {
			return "", fmt.Errorf("find nft: %w", err)
		}
		d.Tables = t
	}
	same, err := d.sameShape(ctx, want)
	if err != nil {
		return "", fmt.Errorf("read table inet %s: %w", want.Name, err)
	}
	if !same {
		return "table written", d.run(ctx, want.Name, d.whole(want))
	}
	tx := d.Tables.NewTransaction()
	for _, s := range want.Sets {
		rewrite, err := d.diffSet(ctx, tx, s)
		if err != nil {
			return "", fmt.Errorf("read set %s: %w", s.Name, err)
		}
		if rewrite {
			return "table rewritten", d.run(ctx, want.Name, d.whole(want))
		}
	}
	if tx.NumOperations() == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d set elements changed", tx.NumOperations()), d.run(ctx, want.Name, tx)
}

func (d *Driver) run(ctx context.Context, table string, tx *knftables.Transaction) error {
	if err := d.Tables.Run(ctx, tx); err != nil {
		return fmt.Errorf("write table inet %s: %w", table, err)
	}
	return nil
}

// sameShape compares everything but set elements. Rules are compared by their
// comments, which hold a digest of the rule's text: nft prints a rule in other
// words than it was given.
func (d *Driver) sameShape(ctx context.Context, want hostplan.Table) (bool, error) {
	all, err := d.Tables.ListAll(ctx)
	if knftables.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var sets, chains []string
	for _, s := range want.Sets {
		sets = append(sets, s.Name)
	}
	for _, c := range want.Chains {
		chains = append(chains, c.Name)
	}
	if !sameNames(all["set"], sets) || !sameNames(all["chain"], chains) || len(all["map"]) > 0 {
		return false, nil
	}
	for _, c := range want.Chains {
		rules, err := d.Tables.ListRules(ctx, c.Name)
		if err != nil {
			return false, err
		}
		if !slices.EqualFunc(rules, c.Rules, func(have *knftables.Rule, r hostplan.Rule) bool {
			return have.Comment != nil && *have.Comment == comment(c, r)
		}) {
			return false, nil
		}
	}
	return true, nil
}

// diffSet adds the element changes of one set to tx. rewrite is true if elements
// of an interval set both come and go: nft may find a new interval overlapping
// one that the same transaction removes.
func (d *Driver) diffSet(ctx context.Context, tx *knftables.Transaction, want hostplan.Set) (rewrite bool, err error) {
	list, err := d.Tables.ListElements(ctx, "set", want.Name)
	if err != nil {
		return false, err
	}
	have := map[string]bool{}
	for _, e := range list {
		have[e.Key[0]] = true
	}
	added := 0
	for _, key := range want.Elements {
		if !have[key] {
			tx.Add(element(want.Name, key))
			added++
		}
		delete(have, key)
	}
	if want.Interval && added > 0 && len(have) > 0 {
		return true, nil
	}
	for key := range have {
		tx.Delete(element(want.Name, key))
	}
	return false, nil
}

// whole replaces the table. "add" before "delete" lets it work whether the table is there or not.
func (d *Driver) whole(want hostplan.Table) *knftables.Transaction {
	tx := d.Tables.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{})
	for _, s := range want.Sets {
		set := &knftables.Set{Name: s.Name, Type: s.Type}
		if s.Interval {
			set.Flags = []knftables.SetFlag{knftables.IntervalFlag}
		}
		tx.Add(set)
		for _, key := range s.Elements {
			tx.Add(element(s.Name, key))
		}
	}
	for _, c := range want.Chains {
		tx.Add(&knftables.Chain{
			Name:     c.Name,
			Type:     knftables.PtrTo(knftables.BaseChainType(c.Type)),
			Hook:     knftables.PtrTo(knftables.BaseChainHook(c.Hook)),
			Priority: knftables.PtrTo(knftables.BaseChainPriority(c.Priority)),
		})
		for _, r := range c.Rules {
			tx.Add(&knftables.Rule{Chain: c.Name, Rule: r.Text, Comment: knftables.PtrTo(comment(c, r))})
		}
	}
	return tx
}

func element(set, key string) *knftables.Element {
	return &knftables.Element{Set: set, Key: []string{key}}
}

// comment is what the rule is for, and a digest of the rule and its chain.
func comment(c hostplan.Chain, r hostplan.Rule) string {
	sum := sha256.Sum256([]byte(c.Name + " " + c.Type + " " + c.Hook + " " + c.Priority + " " + r.Text))
	return r.Comment + " (" + hex.EncodeToString(sum[:4]) + ")"
}

func sameNames(have, want []string) bool {
	have, want = slices.Clone(have), slices.Clone(want)
	slices.Sort(have)
	slices.Sort(want)
	return slices.Equal(have, want)
}
