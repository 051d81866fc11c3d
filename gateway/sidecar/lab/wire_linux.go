package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"tailscale.com/envknob"
)

const (
	udpHeaderBytes = 8
	wireLookEvery  = 50 * time.Millisecond

	// Where a socket filter finds a random number (linux/filter.h: SKF_AD_OFF +
	// SKF_AD_RANDOM).
	filterRandom = 0xfffff000 + 56
	filterPass   = 0xffffffff // bytes of the datagram to keep
)

// worsen puts a filter on every UDP socket of this process until ctx ends. The
// kernel throws away what the filter refuses before the node sees it, so it needs
// no rights, and nobody is told: just like a router that drops large packets and
// whose "too big" messages are lost.
//
// It cannot lose what this node sends, nor datagrams in flight to another
// process; it does not fragment, delay or reorder; and a socket is filtered only
// from the first look after its opening, at most 50 ms later. TCP (the way over
// the relay) is untouched.
func (o wireOptions) worsen(ctx context.Context, log *slog.Logger) error {
	if !o.worse() {
		return nil
	}
	// With receive offload the kernel hands over a batch of datagrams as one, and
	// the filter would measure the batch.
	envknob.Setenv("TS_DEBUG_DISABLE_UDP_GRO", "1")
	filtered := map[string]bool{}
	if err := o.filterSockets(filtered); err != nil {
		return fmt.Errorf("the wire cannot be made worse: %w", err)
	}
	go func() {
		ticker := time.NewTicker(wireLookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := o.filterSockets(filtered); err != nil {
				log.Error("a socket has no filter", "error", err.Error())
			}
		}
	}()
	return nil
}

// filterSockets puts the filter on the UDP sockets that have none yet.
func (o wireOptions) filterSockets(filtered map[string]bool) error {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var failed error
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		name, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if err != nil || !strings.HasPrefix(name, "socket:") || filtered[name] {
			continue // closed meanwhile, no socket, or done
		}
		filtered[name] = true
		if isUDP(fd) {
			failed = errors.Join(failed, o.attach(fd))
		}
	}
	return failed
}

func isUDP(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_DGRAM {
		return false
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && (domain == unix.AF_INET || domain == unix.AF_INET6)
}

func (o wireOptions) attach(fd int) error {
	program := o.program()
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: uint16(len(program)), Filter: unsafe.SliceData(program),
	})
	if err != nil {
		return fmt.Errorf("SO_ATTACH_FILTER: %w", err)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 0)
}

// program is the filter in the classic machine language of socket filters. The
// kernel shows it the datagram with its UDP header. Jumps count the instructions
// to skip.
func (o wireOptions) program() []unix.SockFilter {
	var program []unix.SockFilter
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	if o.bytesMax > 0 {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: uint32(o.bytesMax + udpHeaderBytes), Jf: 1},
			drop)
	}
	if o.losePercent > 0 {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: filterRandom},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: uint32(o.losePercent / 100 * math.MaxUint32), Jt: 1},
			drop)
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: filterPass})
}
