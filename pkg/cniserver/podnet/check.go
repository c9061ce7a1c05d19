package podnet

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
)

// CheckRoutes reads the routes annotation of a pod that has no addresses yet, as
// [Parse] will when it has some of both families. Its errors are those of Parse,
// without the names of pod and annotation.
func CheckRoutes(ann map[string]string) error {
	ref := Ref{}
	p := parser{ref: ref, provider: ref.provider(), ann: ann}
	p.routes(Network{
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)},
		Gateways:  []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()},
	})
	if p.err == nil {
		return nil
	}
	_, cause, _ := strings.Cut(p.err.Error(), annotations.Key(p.provider, annotations.SuffixRoutes)+": ")
	return errors.New(cause)
}
