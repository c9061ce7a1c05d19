package node

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

// refusals says why the controller refuses subnets whose addresses are somebody
// else's: the address of an older node, of the API server, or of an older subnet.
// A node that made routes and NAT for one would cut off what has the addresses.
// The rules are those of the controller; the key is the subnet's name.
func refusals(subnets []v1.Subnet, nodes []corev1.Node, apiServers []netip.Addr, defaultVpc string) map[string]string {
	out := map[string]string{}
	candidates := networks(subnets, defaultVpc)
	refuse := func(s *model.Subnet, p model.Problem, ok bool) {
		if ok && p.Fatal && out[s.Name] == "" {
			out[s.Name] = p.Error()
		}
	}
	for _, s := range candidates {
		for _, a := range apiServers {
			p, ok := model.OverlapsAPIServer(*s, a)
			refuse(s, p, ok)
		}
		for i := range nodes {
			p, ok := model.OverlapsNode(*s, model.Node{Meta: identity(&nodes[i]), InternalIPs: internalIPs(&nodes[i])})
			refuse(s, p, ok)
		}
	}
	for _, pair := range overlapping(candidates) {
		p, ok := model.Overlaps(*pair[0], *pair[1])
		refuse(pair[0], p, ok)
		p, ok = model.Overlaps(*pair[1], *pair[0])
		refuse(pair[1], p, ok)
	}
	return out
}

// networks are the overlay subnets of the default Vpc whose CIDR can be read, by name.
func networks(subnets []v1.Subnet, defaultVpc string) (out []*model.Subnet) {
	for i := range subnets {
		s := &subnets[i]
		cidr, err := model.ParsePrefixes(s.Spec.CIDRBlock)
		if err == nil && s.Spec.Vlan == "" && (s.Spec.Vpc == defaultVpc || s.Spec.Vpc == "" && ovnProvider(s.Spec.Provider)) {
			out = append(out, &model.Subnet{Meta: identity(s), Vpc: defaultVpc, CIDR: cidr})
		}
	}
	slices.SortFunc(out, func(a, b *model.Subnet) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// identity is what the age of two objects is compared by.
func identity(o metav1.Object) model.Meta {
	return model.Meta{Name: o.GetName(), Created: o.GetCreationTimestamp().Unix()}
}

// overlapping finds the pairs of subnets that share addresses. Of two prefixes that
// do, one holds the other: in the order of their first addresses, the wider one
// first, those that hold a prefix are open when it comes.
func overlapping(subnets []*model.Subnet) (pairs [][2]*model.Subnet) {
	type network struct {
		prefix netip.Prefix
		of     *model.Subnet
	}
	var all, open []network
	for _, s := range subnets {
		for _, p := range model.PrefixFamilies(s.CIDR) {
			all = append(all, network{p, s})
		}
	}
	slices.SortStableFunc(all, func(a, b network) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	for _, n := range all {
		open = slices.DeleteFunc(open, func(o network) bool { return !o.prefix.Overlaps(n.prefix) })
		for _, o := range open {
			pairs = append(pairs, [2]*model.Subnet{o.of, n.of})
		}
		open = append(open, n)
	}
	return pairs
}
