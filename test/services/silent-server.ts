import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A port that accepts connections and says nothing. */
export interface SilentServer {
  readonly port: number;
  /** Connections that come while `passes` says so are handed to the real server, and stay so. */
  passWhile(passes: () => boolean): void;
  close(): Promise<void>;
}

export async function silentServer(realPort: number): Promise<SilentServer> {
  const open = new Set<Socket>();
  let passes = (): boolean => false;
  const keep = (socket: Socket): Socket => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    return socket;
  };
  const server = createServer((near) => {
    keep(near);
    if (!passes()) return near.resume();
    const far = keep(connect(realPort, '127.0.0.1'));
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    return near;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    passWhile: (when) => (passes = when),
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
