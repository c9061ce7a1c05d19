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
// else's, by its own rules ([model.Refused]); the key is the subnet's name. A node that
// made routes and NAT for one would cut off what has the addresses.
func refusals(subnets []v1.Subnet, nodes []corev1.Node, apiServers []netip.Addr, defaultVpc string) map[string]string {
	all := make([]*model.Node, 0, len(nodes))
	for i := range nodes {
		all = append(all, &model.Node{Meta: identity(&nodes[i]), InternalIPs: internalIPs(&nodes[i])})
	}
	out := map[string]string{}
	for name, problem := range model.Refused(networks(subnets, defaultVpc), all, apiServers) {
		out[name] = problem.Error()
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
