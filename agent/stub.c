int x_stub; 
