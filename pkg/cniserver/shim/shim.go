// SPDX-License-Identifier: Apache-2.0

// Package shim is the CNI plugin. It converts the runtime's environment and stdin into requests to the node's
// cniserver, and the responses into CNI results and errors. It decides nothing and does not import Kubernetes packages.
package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/wovensdn/woven/pkg/cniserver/api"
)

// Versions are the supported versions of the CNI specification.
var Versions = version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0")

// Conf is the plugin's network configuration.
type Conf struct {
	types.PluginConf
	// ServerSocket is the cniserver's socket; empty means [api.DefaultSocket].
	ServerSocket string `json:"server_socket"`
	// Provider selects the pod's annotations; empty means "ovn".
	Provider string `json:"provider"`
	// Routes are added inside the pod.
	Routes []api.Route `json:"routes"`

	VfDriver                   string `json:"vf_driver"`
	DeviceID                   string `json:"deviceID"`
	VhostUserSocketVolumeName  string `json:"vhost_user_socket_volume_name"`
	VhostUserSocketName        string `json:"vhost_user_socket_name"`
	VhostUserSocketConsumption string `json:"vhost_user_socket_consumption"`
}

// kubeArgs are the CNI_ARGS of Kubernetes' runtimes; LoadArgs finds the fields by these names.
//
//nolint:revive,staticcheck // the names are CNI_ARGS keys
type kubeArgs struct {
	types.CommonArgs
	K8S_POD_NAME               types.UnmarshallableString
	K8S_POD_NAMESPACE          types.UnmarshallableString
	K8S_POD_INFRA_CONTAINER_ID types.UnmarshallableString
	K8S_POD_UID                types.UnmarshallableString
}

// Plugin is a client of the cniserver.
type Plugin struct {
	// Timeout bounds one call. The server's timeout is shorter, so that its error arrives.
	Timeout time.Duration
}

// Funcs returns the plugin's operations; ctx bounds them all.
func (p Plugin) Funcs(ctx context.Context) skel.CNIFuncs {
	with := func(f func(context.Context, *skel.CmdArgs) error) func(*skel.CmdArgs) error {
		return func(args *skel.CmdArgs) error {
			ctx, cancel := context.WithTimeout(ctx, p.Timeout)
			defer cancel()
			return f(ctx, args)
		}
	}
	return skel.CNIFuncs{Add: with(add), Del: with(del), Check: with(check), GC: with(gc), Status: with(status)}
}

// ParseConf parses the network configuration on stdin. Its errors have CNI's code 7, invalid network config.
func ParseConf(stdin []byte) (Conf, error) {
	conf := Conf{ServerSocket: api.DefaultSocket}
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return Conf{}, types.NewError(types.ErrInvalidNetworkConfig, "the network configuration on stdin is not valid: "+err.Error(), "")
	}
	if conf.ServerSocket == "" {
		conf.ServerSocket = api.DefaultSocket
	}
	if conf.IPAM.Type != "" {
		return Conf{}, types.NewError(types.ErrInvalidNetworkConfig,
			fmt.Sprintf("ipam.type: is %q, but addresses come from the pod's Subnet; remove the ipam section", conf.IPAM.Type), "")
	}
	return conf, nil
}

// Request converts the runtime's request to the cniserver's.
func Request(args *skel.CmdArgs) (Conf, api.Request, error) {
	conf, err := ParseConf(args.StdinData)
	if err != nil {
		return Conf{}, api.Request{}, err
	}
	kube := kubeArgs{CommonArgs: types.CommonArgs{IgnoreUnknown: true}}
	if err := types.LoadArgs(args.Args, &kube); err != nil {
		return Conf{}, api.Request{}, types.NewError(types.ErrInvalidEnvironmentVariables, "CNI_ARGS: "+err.Error(), "")
	}
	return conf, api.Request{
		CNIType: conf.Type, PodName: string(kube.K8S_POD_NAME), PodNamespace: string(kube.K8S_POD_NAMESPACE), PodUID: string(kube.K8S_POD_UID),
		ContainerID: args.ContainerID, NetNS: args.Netns, IfName: args.IfName, Provider: conf.Provider, Routes: conf.Routes,
		DNS:      api.DNS{Nameservers: conf.DNS.Nameservers, Domain: conf.DNS.Domain, Search: conf.DNS.Search, Options: conf.DNS.Options},
		VfDriver: conf.VfDriver, DeviceID: conf.DeviceID, VhostUserSocketVolumeName: conf.VhostUserSocketVolumeName,
		VhostUserSocketName: conf.VhostUserSocketName, VhostUserSocketConsumption: conf.VhostUserSocketConsumption,
	}, nil
}

func add(ctx context.Context, args *skel.CmdArgs) error {
	conf, req, err := Request(args)
	if err != nil {
		return err
	}
	var resp api.AddResponse
	if err := call(ctx, conf.ServerSocket, api.PathAdd, req, &resp); err != nil {
		return err
	}
	result, err := Result(args, resp)
	if err != nil {
		return types.NewError(types.ErrInternal, "the cniserver's response is invalid: "+err.Error(), "")
	}
	return types.PrintResult(result, conf.CNIVersion)
}

// Result converts the cniserver's response to a CNI result: the interfaces of node and pod, and the pod's addresses.
func Result(args *skel.CmdArgs, resp api.AddResponse) (*current.Result, error) {
	result := &current.Result{
		CNIVersion: current.ImplementedSpecVersion,
		Interfaces: []*current.Interface{
			{Name: resp.HostNicName, Mac: resp.HostMACAddress, Mtu: resp.MTU},
			{Name: resp.PodNicName, Mac: resp.MACAddress, Mtu: resp.MTU, Sandbox: args.Netns},
		},
		DNS: types.DNS{
			Nameservers: resp.DNS.Nameservers, Domain: resp.DNS.Domain, Search: resp.DNS.Search, Options: resp.DNS.Options,
		},
	}
	for _, ip := range resp.IPs {
		addr := net.ParseIP(ip.IP)
		_, subnet, err := net.ParseCIDR(ip.CIDR)
		if addr == nil || err != nil {
			return nil, fmt.Errorf("ips: invalid address %q or prefix %q", ip.IP, ip.CIDR)
		}
		config := &current.IPConfig{Interface: current.Int(1), Address: net.IPNet{IP: addr, Mask: subnet.Mask}}
		if ip.Gateway != "" {
			config.Gateway = net.ParseIP(ip.Gateway)
		}
		result.IPs = append(result.IPs, config)
	}
	for _, r := range resp.Routes {
		_, dst, err := net.ParseCIDR(r.Destination)
		if err != nil {
			return nil, fmt.Errorf("routes: invalid destination %q", r.Destination)
		}
		result.Routes = append(result.Routes, &types.Route{Dst: *dst, GW: net.ParseIP(r.Gateway)})
	}
	return result, nil
}

func del(ctx context.Context, args *skel.CmdArgs) error {
	conf, req, err := Request(args)
	if err != nil {
		return err
	}
	return call(ctx, conf.ServerSocket, api.PathDel, req, nil)
}

func check(ctx context.Context, args *skel.CmdArgs) error {
	conf, req, err := Request(args)
	if err != nil {
		return err
	}
	if req.IPs, err = previous(&conf, args); err != nil {
		return err
	}
	return call(ctx, conf.ServerSocket, api.PathCheck, req, nil)
}

// previous returns the addresses of the checked interface in ADD's result.
func previous(conf *Conf, args *skel.CmdArgs) ([]api.IP, error) {
	if err := version.ParsePrevResult(&conf.PluginConf); err != nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "prevResult: "+err.Error(), "")
	}
	if conf.PrevResult == nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "prevResult: is missing; CHECK needs the result of ADD", "")
	}
	result, err := current.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "prevResult: "+err.Error(), "")
	}
	var out []api.IP
	for _, ip := range result.IPs {
		if i := ip.Interface; i != nil && (*i < 0 || *i >= len(result.Interfaces) || result.Interfaces[*i].Name != args.IfName) {
			continue
		}
		out = append(out, api.IP{IP: ip.Address.IP.String()})
	}
	return out, nil
}

func gc(ctx context.Context, args *skel.CmdArgs) error {
	conf, err := ParseConf(args.StdinData)
	if err != nil {
		return err
	}
	req := api.GCRequest{ValidAttachments: []api.Attachment{}}
	for _, a := range conf.ValidAttachments {
		req.ValidAttachments = append(req.ValidAttachments, api.Attachment{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	return call(ctx, conf.ServerSocket, api.PathGC, req, nil)
}

func status(ctx context.Context, args *skel.CmdArgs) error {
	conf, err := ParseConf(args.StdinData)
	if err != nil {
		return err
	}
	return call(ctx, conf.ServerSocket, api.PathStatus, struct{}{}, nil)
}
