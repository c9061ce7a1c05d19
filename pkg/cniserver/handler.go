// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/emicklei/go-restful/v3"

	"github.com/wovensdn/woven/pkg/cniserver/api"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/podnet"
)

// Attributes that a handler sets for the access log.
const (
	attrAbout = "about"
	attrError = "error"
)

// errBusy is returned for a request that exceeds the limit of operations in progress.
var errBusy = errors.New("too many operations in progress on this node")

// response is the result of an operation; a nil body is 204.
type response struct{ body any }

func (s *Server) handler() http.Handler {
	ws := new(restful.WebService)
	for path, op := range map[string]struct {
		name api.Op
		do   func(ctx context.Context, req *restful.Request) (response, error)
	}{
		api.PathAdd:    {api.OpAdd, s.add},
		api.PathDel:    {api.OpDel, s.del},
		api.PathCheck:  {api.OpCheck, s.check},
		api.PathGC:     {api.OpGC, s.gc},
		api.PathStatus: {api.OpStatus, s.status},
	} {
		ws.Route(ws.POST(path).Consumes("*/*").Produces(restful.MIME_JSON).
			Filter(s.log(op.name)).Filter(s.limit(op.name)).
			To(func(req *restful.Request, resp *restful.Response) { s.serve(req, resp, op.do) }))
	}
	c := restful.NewContainer()
	c.ServiceErrorHandler(func(err restful.ServiceError, req *restful.Request, resp *restful.Response) {
		writeError(resp, err.Code, fmt.Sprintf("%s %s: %s", req.Request.Method, req.Request.URL.Path, err.Message))
	})
	c.Add(ws)
	return c
}

// serve runs one operation within its timeout and writes the response.
func (s *Server) serve(req *restful.Request, resp *restful.Response, do func(context.Context, *restful.Request) (response, error)) {
	ctx, cancel := context.WithTimeout(req.Request.Context(), s.cfg.Timeout)
	defer cancel()
	req.Request.Body = http.MaxBytesReader(resp, req.Request.Body, api.MaxBody+1)
	a, err := do(ctx, req)
	switch {
	case err != nil:
		req.SetAttribute(attrError, err.Error())
		writeError(resp, statusOf(err), err.Error())
	case a.body == nil:
		resp.WriteHeader(http.StatusNoContent)
	default:
		// An error means that the client is gone; the runtime will delete what it got no response for.
		_ = resp.WriteHeaderAndJson(http.StatusOK, a.body, restful.MIME_JSON)
	}
}

func writeError(resp *restful.Response, code int, text string) {
	// An error means that the client is gone.
	_ = resp.WriteHeaderAndJson(code, api.ErrorResponse{Error: text}, restful.MIME_JSON)
}

// statusOf returns 400 for a bad request, 503 for an error that may be retried soon, else 500.
func statusOf(err error) int {
	var field *api.FieldError
	if errors.As(err, &field) {
		return http.StatusBadRequest
	}
	for _, later := range []error{context.DeadlineExceeded, context.Canceled, ovs.ErrNotConnected, ovs.ErrNoBridge, errBusy, errNotReady} {
		if errors.Is(err, later) {
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusInternalServerError
}

// log writes one line per request, and its metrics.
func (s *Server) log(op api.Op) restful.FilterFunction {
	return func(req *restful.Request, resp *restful.Response, chain *restful.FilterChain) {
		begin := s.cfg.Clock.Now()
		chain.ProcessFilter(req, resp)
		took := s.cfg.Clock.Since(begin)
		s.metrics.observe(string(op), resp.StatusCode(), took)
		log := s.cfg.Log.WithValues("op", op, "code", resp.StatusCode(), "seconds", took.Seconds())
		if about, ok := req.Attribute(attrAbout).([]any); ok {
			log = log.WithValues(about...)
		}
		if text := req.Attribute(attrError); text != nil {
			log.Info("CNI request failed", "error", text)
			return
		}
		if op == api.OpStatus {
			log = log.V(1)
		}
		log.Info("CNI request")
	}
}

// limit limits the operations in progress. ADDs may wait long, so they are counted separately and cannot block DELs;
// STATUS is not counted.
func (s *Server) limit(op api.Op) restful.FilterFunction {
	tokens := s.others
	switch op {
	case api.OpAdd:
		tokens = s.adds
	case api.OpStatus:
		tokens = nil
	default:
	}
	return func(req *restful.Request, resp *restful.Response, chain *restful.FilterChain) {
		if tokens == nil {
			chain.ProcessFilter(req, resp)
			return
		}
		select {
		case tokens <- struct{}{}:
			defer func() { <-tokens }()
			chain.ProcessFilter(req, resp)
		default:
			req.SetAttribute(attrError, errBusy.Error())
			writeError(resp, statusOf(errBusy), errBusy.Error())
		}
	}
}

// decode reads the request and sets the attributes for the access log.
func decode(r *restful.Request, op api.Op) (api.Request, error) {
	req, err := api.DecodeRequest(r.Request.Body, op)
	r.SetAttribute(attrAbout, []any{
		"pod", req.PodNamespace + "/" + req.PodName, "container", req.ContainerID, "interface", req.IfName, "provider", req.Provider,
	})
	return req, err
}

func (s *Server) add(ctx context.Context, r *restful.Request) (response, error) {
	req, err := decode(r, api.OpAdd)
	if err != nil {
		return response{}, err
	}
	begin := s.cfg.Clock.Now()
	work, err := s.request(ctx, req, s.cfg.AddressTimeout)
	s.metrics.wait.Observe(s.cfg.Clock.Since(begin).Seconds())
	if err != nil {
		return response{}, err
	}
	res, err := s.cfg.Plumber.Add(ctx, work)
	if err != nil {
		return response{}, fmt.Errorf("pod %s/%s: %w", req.PodNamespace, req.PodName, err)
	}
	return response{addResponse(req, work.Network, res)}, nil
}

// request waits for the pod's network and combines it with the runtime's request.
func (s *Server) request(ctx context.Context, req api.Request, timeout time.Duration) (plumb.Request, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, err := s.cfg.Pods.Wait(ctx, podnet.Ref{
		Namespace: req.PodNamespace, Name: req.PodName, UID: req.PodUID, Provider: req.Provider, IfName: req.IfName,
	})
	if err != nil {
		return plumb.Request{}, err
	}
	work := plumb.Request{Attachment: attachment(req), NetNS: req.NetNS, Network: n}
	for i, r := range req.Routes {
		route, err := n.ParseRoute(r.Destination, r.Gateway)
		if err != nil {
			return plumb.Request{}, &api.FieldError{Field: fmt.Sprintf("routes[%d]", i), Cause: err.Error()}
		}
		work.Routes = append(work.Routes, route)
	}
	return work, nil
}

func attachment(req api.Request) plumb.Attachment {
	return plumb.Attachment{ContainerID: req.ContainerID, IfName: req.IfName}
}

func addResponse(req api.Request, n podnet.Network, res plumb.Result) api.AddResponse {
	out := api.AddResponse{
		MACAddress: n.MAC.String(), MTU: res.MTU, PodNicName: req.IfName, DNS: req.DNS,
		HostNicName: res.HostIf, HostMACAddress: res.HostMAC.String(),
	}
	for _, a := range n.Addresses {
		ip := api.IP{Protocol: api.ProtocolIPv6, IP: a.Addr().String(), CIDR: a.Masked().String()}
		if a.Addr().Is4() {
			ip.Protocol = api.ProtocolIPv4
		}
		if gw := n.Gateway(a.Addr()); gw.IsValid() {
			ip.Gateway = gw.String()
		}
		out.IPs = append(out.IPs, ip)
	}
	for _, r := range res.Routes {
		out.Routes = append(out.Routes, api.Route{Destination: r.Dst.String(), Gateway: r.Gateway.String()})
	}
	return out
}

func (s *Server) del(ctx context.Context, r *restful.Request) (response, error) {
	req, err := decode(r, api.OpDel)
	if err != nil {
		return response{}, err
	}
	return response{}, s.cfg.Plumber.Del(ctx, attachment(req))
}

func (s *Server) check(ctx context.Context, r *restful.Request) (response, error) {
	req, err := decode(r, api.OpCheck)
	if err != nil {
		return response{}, err
	}
	work, err := s.request(ctx, req, min(checkTimeout, s.cfg.AddressTimeout))
	if err != nil {
		return response{}, err
	}
	err = errors.Join(sameAddresses(req.IPs, work.Network), s.cfg.Plumber.Check(ctx, work))
	if err != nil {
		return response{}, fmt.Errorf("pod %s/%s: %w", req.PodNamespace, req.PodName, err)
	}
	return response{}, nil
}

// sameAddresses compares the addresses in the runtime's previous result, if it sent any, with those of the pod.
func sameAddresses(prev []api.IP, n podnet.Network) error {
	if len(prev) == 0 {
		return nil
	}
	var have, want []string
	for _, ip := range prev {
		addr, err := netip.ParseAddr(ip.IP)
		if err != nil {
			return &api.FieldError{Field: "ips", Cause: fmt.Sprintf("%q is not an IP address", ip.IP)}
		}
		have = append(have, addr.Unmap().String())
	}
	for _, a := range n.Addresses {
		want = append(want, a.Addr().String())
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("the runtime's result has the addresses %v, the pod's annotation says %v", have, want)
	}
	return nil
}

func (s *Server) gc(ctx context.Context, r *restful.Request) (response, error) {
	req, err := api.DecodeGC(r.Request.Body)
	if err != nil {
		return response{}, err
	}
	valid := make([]plumb.Attachment, 0, len(req.ValidAttachments))
	for _, a := range req.ValidAttachments {
		valid = append(valid, plumb.Attachment{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	return response{}, s.cfg.Plumber.GC(ctx, valid)
}

// errNotReady wraps the reasons that STATUS returns.
var errNotReady = errors.New("not ready")

func (s *Server) status(ctx context.Context, r *restful.Request) (response, error) {
	// The body has no content; it is read so that the connection can be reused.
	if _, err := io.Copy(io.Discard, r.Request.Body); err != nil {
		return response{}, fmt.Errorf("read request body: %w", err)
	}
	if err := errors.Join(s.cfg.Ready(), s.cfg.Plumber.Status(ctx)); err != nil {
		return response{}, fmt.Errorf("%w: %w", errNotReady, err)
	}
	return response{}, nil
}
