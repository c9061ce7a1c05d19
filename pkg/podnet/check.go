// SPDX-License-Identifier: Apache-2.0

package podnet

import (
	"net/netip"

	"github.com/wovensdn/woven/api/annotations"
)

// CheckRoutes checks the routes annotation of a pod that has no addresses yet, as [Parse] does when the pod has an
// address of each IP family. Its errors are those of Parse, without the names of pod and annotation.
func CheckRoutes(ann map[string]string) error {
	pretended := Network{
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)},
		Gateways:  []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()},
	}
	_, err := pretended.parseRoutes(ann[annotations.Routes])
	return err
}
